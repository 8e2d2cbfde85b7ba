"""The way down the tree that ``ucb`` and ``puct`` share.

From the root: at each node the candidates are its children and the node itself ("edit here"); the best score wins; a
child that wins is the next node to stand on. "Edit here" is no candidate where the node has no untried edit, and where
it is full (progressive widening): at least ``widening_k * max(1, N) ** widening_a`` children, and one of them leads
somewhere. A child below which nothing can be edited is no candidate. Equal scores: the fewer visits, then the smaller
id; so a choice depends neither on the order of nodes nor on a random number, and sessions that stand on one snapshot
choose alike (their anchors repeat).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from aflow_verl.search.fusion import Terms, fusion_named
from aflow_verl.search.node import Node
from aflow_verl.search.reach import gain_at, promise
from aflow_verl.search.selection import Expandable, Part, SearchExhausted, Selected, Situation
from aflow_verl.search.view import TreeView


@dataclass(frozen=True, slots=True)
class Counts:
    """What an exploration term is made of."""

    total: int
    """N + O: visits of the node on which the candidates stand, and edits under way below it."""
    own: int
    """n + o: the same of the candidate."""
    prior: float
    """P: the candidate's share of the policy's probability; the priors of one comparison sum to 1."""


Exploration = Callable[[Counts], float]


def descend(situation: Situation, exploration: Exploration) -> Selected:
    """From the root to the node to edit. Raises SearchExhausted if no node can be edited."""
    tree = situation.tree
    ways = Ways(tree, situation.expandable)
    if not ways.open(tree.root_id):
        raise SearchExhausted("no workflow has an edit left to try")
    under_way = back_up(tree, situation.in_flight)
    at = tree.root
    parts: list[Part] = []
    while True:
        candidates = _candidates(situation, at, ways)
        compared = compare(situation, at, candidates, exploration, under_way)
        parts.extend(compared)
        winner = min(compared, key=lambda part: (-part.score, part.n + part.in_flight, part.node))
        if winner.edit_here:
            return Selected(at.id, tuple(parts))
        at = tree[winner.node]


class Ways:
    """Which nodes lead to one that can still be edited; looks no further than it must and remembers dead ends."""

    def __init__(self, tree: TreeView, expandable: Expandable) -> None:
        self._tree = tree
        self._dead: set[str] = set()
        self.expandable = expandable

    def open(self, node_id: str) -> bool:
        """True if this node or one below it can be edited."""
        seen: set[str] = set()
        stack = [node_id]
        while stack:
            found = stack.pop()
            if found in seen or found in self._dead:
                continue
            if self.expandable(found):
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


def priors(logprobs_K: Sequence[float | None]) -> list[float]:
    """Shares of the policy's probability, summing to 1.

    Candidates without a log-probability get 1 / K each; the others share the rest in proportion to exp(logprob).
    """
    uniform = 1.0 / len(logprobs_K)
    known = [value for value in logprobs_K if value is not None]
    if not known:
        return [uniform] * len(logprobs_K)
    highest = max(known)
    scale = len(known) * uniform / sum(math.exp(value - highest) for value in known)
    return [uniform if value is None else scale * math.exp(value - highest) for value in logprobs_K]


def _candidates(situation: Situation, at: Node, ways: Ways) -> list[Node]:
    """The node itself, where it may be edited, and the children that lead somewhere."""
    tree, settings = situation.tree, situation.settings
    children = tree.children(at.id)
    open_children = [tree[child] for child in children if ways.open(child)]
    full = is_full(at, len(children), settings.widening_k, settings.widening_a) and bool(open_children)
    here = [at] if ways.expandable(at.id) and not full else []
    return here + open_children


def compare(
    situation: Situation, at: Node, candidates: Sequence[Node], exploration: Exploration, under_way: Mapping[str, int]
) -> list[Part]:
    """The K candidates at one node with their fused scores."""
    promises_K = [promise(situation.tree, node, situation.q) for node in candidates]
    visits_K, in_flight_K = _counts(situation, at, candidates, under_way)
    prior_K = priors([None if node.id == at.id else node.logprob for node in candidates])
    total = at.visits + under_way.get(at.id, 0)
    terms = Terms(
        x_K=[node.posterior_mean for node in candidates],
        reach_K=[promised.reach for promised in promises_K],
        q_K=[gain_at(at, node, promised) for node, promised in zip(candidates, promises_K, strict=True)],
        exploration_K=[
            exploration(Counts(total=total, own=n + o, prior=prior))
            for n, o, prior in zip(visits_K, in_flight_K, prior_K, strict=True)
        ],
        alpha_K=[0.0 if promised.value is None else situation.alpha for promised in promises_K],
    )
    score_K = fusion_named(situation.settings.fusion)(terms)
    return [
        Part(
            at=at.id,
            node=node.id,
            edit_here=node.id == at.id,
            x=terms.x_K[k],
            n=visits_K[k],
            in_flight=in_flight_K[k],
            prior=prior_K[k],
            v=None if (value := promises_K[k].value) is None else value.v,
            q=None if value is None else terms.q_K[k],
            inherited=promises_K[k].inherited,
            reach=terms.reach_K[k],
            exploration=terms.exploration_K[k],
            alpha=terms.alpha_K[k],
            score=score_K[k],
        )
        for k, node in enumerate(candidates)
    ]


def _counts(
    situation: Situation, at: Node, candidates: Sequence[Node], under_way: Mapping[str, int]
) -> tuple[list[int], list[int]]:
    """(n_K, o_K): for "edit here" the edits of the node itself, for a child everything below it too."""
    here, below = situation.in_flight, under_way
    visits_K = [node.edits if node.id == at.id else node.visits for node in candidates]
    in_flight_K = [(here if node.id == at.id else below).get(node.id, 0) for node in candidates]
    return visits_K, in_flight_K
