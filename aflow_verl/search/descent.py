"""The way down the tree that ``ucb``, ``puct`` and ``thompson`` share.

From the root: at each node the candidates are its children and the node itself ("edit here"); the best score wins; a
child that wins is the next node to stand on. "Edit here" is no candidate where the node has no untried edit, and where
it is full (progressive widening): at least ``widening_k * max(1, N) ** widening_a`` children, and one of them leads
somewhere. A child below which nothing can be edited is no candidate. Equal scores: the fewer visits, then the smaller
id; so a choice depends neither on the order of nodes nor on a random number, and sessions that stand on one snapshot
choose alike (their anchors repeat).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from aflow_verl.search.candidates import Places, candidates, opinion
from aflow_verl.search.columns import VISITS, Columns, Floats, scattered
from aflow_verl.search.comparison import Comparison
from aflow_verl.search.fusion import Terms, Trust, fusion_named
from aflow_verl.search.node import Node
from aflow_verl.search.selection import Expandable, SearchExhausted, Selected, Situation
from aflow_verl.search.view import TreeView

FROM_HERE, BELOW = slice(0, None), slice(1, None)


@dataclass(frozen=True, slots=True)
class Counts:
    """What an exploration term is made of."""

    total: float
    """N + O: visits of the node on which the candidates stand, and edits under way below it."""
    own_K: Floats
    """n + o: the same of the candidates."""
    prior_K: Floats
    """P: the candidates' shares of the policy's probability; the priors of one comparison sum to 1."""


Exploration = Callable[[Counts], Floats]
Compare = Callable[[Node, Columns, Places, Mapping[str, int]], Comparison]
"""(node on which the search stands, its fan, the candidates, edits under way by node) -> their scores."""


def descend(situation: Situation, compare: Compare) -> Selected:
    """From the root to the node to edit. Raises SearchExhausted if no node can be edited."""
    tree = situation.tree
    ways = Ways(tree, situation.expandable)
    if not ways.open(tree.root_id):
        raise SearchExhausted("no workflow has an edit left to try")
    under_way = back_up(tree, situation.in_flight)
    at = tree.root
    comparisons: list[Comparison] = []
    while True:
        fan = tree.fan(at.id)
        compared = compare(at, fan, _candidates(situation, at, fan, ways), under_way)
        comparisons.append(compared)
        winner = compared.winner()
        if compared.here_K[winner]:
            return Selected(at.id, tuple(comparisons))
        at = tree[compared.ids[winner]]


class Ways:
    """Which nodes lead to one that can still be edited; looks no further than it must and remembers dead ends."""

    def __init__(self, tree: TreeView, expandable: Expandable | None) -> None:
        self._tree = tree
        self._expandable = expandable
        self._dead: set[str] = set()

    def open(self, node_id: str) -> bool:
        """True if this node or one below it can be edited."""
        if self._expandable is None:
            return True
        seen: set[str] = set()
        stack = [node_id]
        while stack:
            found = stack.pop()
            if found in seen or found in self._dead:
                continue
            if self._expandable(found):
                return True
            seen.add(found)
            stack.extend(self._tree.children(found))
        self._dead |= seen
        return False


def back_up(tree: TreeView, in_flight: Mapping[str, int]) -> dict[str, int]:
    """Edits under way on a node or below it, along first parents."""
    counts: dict[str, int] = {}
    for node_id, count in in_flight.items():
        for counted in (node_id, *tree.ancestors(node_id)):
            counts[counted] = counts.get(counted, 0) + count
    return counts


def is_full(node: Node, children: int, k: float, a: float) -> bool:
    """Progressive widening: at least k * max(1, N)^a children."""
    return children >= k * math.pow(max(1, node.visits), a)


def _candidates(situation: Situation, at: Node, fan: Columns, ways: Ways) -> Places:
    """The node itself, where it may be edited, and the children that lead somewhere."""
    settings = situation.settings
    children = len(fan) - 1
    full = is_full(at, children, settings.widening_k, settings.widening_a)
    if situation.expandable is None:
        return BELOW if full and children else FROM_HERE
    open_children = [k for k in range(1, len(fan)) if ways.open(fan.ids[k])]
    here = [0] if situation.can_edit(at.id) and not (full and open_children) else []
    return np.array(here + open_children, dtype=np.int64)


def fused(situation: Situation, exploration: Exploration) -> Compare:
    """Scores by the recipe's ``fusion`` of X, exploration and the critic's word."""
    fusion = fusion_named(situation.settings.fusion)
    trust = _trust(situation)

    def compare(at: Node, fan: Columns, places: Places, under_way: Mapping[str, int]) -> Comparison:
        field = candidates(fan, places)
        said = opinion(situation, fan, places, field)
        tried = situation.shared.get(at.id)
        if tried is None:
            n_K, o_K = counts(situation, at, fan, under_way)
            n_K, o_K = n_K[places].copy(), o_K[places]  # the fan goes on changing
            total = at.visits + under_way.get(at.id, 0)
            tried = n_K, o_K, exploration(Counts(total, n_K + o_K, field.prior_K))
            situation.shared[at.id] = tried
        n_K, o_K, exploration_K = tried
        weighed = situation.q is not None
        terms = Terms(
            x_K=field.x_K,
            reach_K=said.reach_K,
            q_K=said.q_K,
            exploration_K=exploration_K,
            alpha_K=np.where(said.known_K, fusion.weight(trust, n_K), 0.0) if weighed else field.nothing_K,
            x_hat_K=field.x_hat_K,
            reach_hat_K=said.reach_hat_K,
        )
        return Comparison(
            at=at.id,
            ids=field.ids,
            here_K=field.here_K,
            x_K=field.x_K,
            n_K=n_K,
            in_flight_K=o_K,
            prior_K=field.prior_K,
            v_K=said.v_K,
            q_K=said.q_K,
            inherited_K=said.inherited_K,
            reach_K=said.reach_K,
            exploration_K=exploration_K,
            alpha_K=terms.alpha_K,
            score_K=fusion.score(terms),
        )

    return compare


def counts(situation: Situation, at: Node, fan: Columns, under_way: Mapping[str, int]) -> tuple[Floats, Floats]:
    """(n_K, o_K) of all entries: for "edit here" the edits of the node itself, for a child everything below it too."""
    o_K = scattered(under_way, fan)
    o_K[0] = situation.in_flight.get(at.id, 0)
    return fan.row(VISITS), o_K


def _trust(situation: Situation) -> Trust:
    if situation.q is None:
        return Trust(0.0, 0.0, situation.settings.trust_k)
    return Trust(situation.settings.rl_weight, situation.q.confidence, situation.settings.trust_k)
