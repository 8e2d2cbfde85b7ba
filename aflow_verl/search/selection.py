"""Which workflow is edited next: candidates in, scores out.

Every workflow of the tree that can still be edited is a candidate. A rule (``selectors``) gives each a score, in score
units, and the highest wins; equal scores: the fewer edits, then the smaller id. The one formula in which the critic has
its say, for candidates and for proposals that were not evaluated yet (``screening``):

    combined = (1 - alpha) * UCB(s, a) + alpha * Q_theta(s, a)
    alpha    = rl_weight * confidence * sqrt(k / (3 n + k))

The weight falls with the n edits that a candidate has seen, which tell more than a promise does: the schedule of
MC-RAVE (Gelly and Silver, 2011), k = ``trust_k``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aflow_verl.config import SearchConfig
from aflow_verl.errors import AflowVerlError
from aflow_verl.search.node import Node
from aflow_verl.search.qvalues import QSnapshot
from aflow_verl.search.view import TreeView

Floats = NDArray[np.float64]
Expandable = Callable[[str], bool]
"""node id -> whether the node has edits left that were not tried on it."""
NONE_IN_FLIGHT: Mapping[str, int] = {}
SHOWN = 5
"""Candidates that a record of a choice keeps."""


class SearchExhausted(AflowVerlError):
    """No node of the tree can be edited any more."""


@dataclass(frozen=True, slots=True)
class Field:
    """K candidates side by side, all in score units but the counts."""

    ids: tuple[str, ...]
    root_id: str
    """The seed of the tree, a candidate or not."""
    x_K: Floats
    """X, the believed scores."""
    sd_K: Floats
    """Their standard deviations."""
    mean_K: Floats
    """Plain mean scores, what AFlow compares."""
    n_K: Floats
    """Edits of the candidate, those under way included."""
    logprob_K: Floats
    """Of the edit that made the candidate; NaN where unknown."""
    q_K: Floats
    """The critic's promise; NaN where nothing is known."""
    alpha_K: Floats
    """Its weight; 0 where nothing is known."""
    total: float
    """Edits in all, those under way included."""
    spread: float
    """Root mean square of the true gains of edits: the scale of exploration terms."""

    def mix(self, own_K: Floats) -> Floats:
        """(1 - alpha) * own + alpha * Q; alpha = 0 leaves ``own`` as it is, to the last bit."""
        return np.where(self.alpha_K > 0.0, (1.0 - self.alpha_K) * own_K + self.alpha_K * self.q_K, own_K)

    def without_q(self) -> Field:
        return replace(self, alpha_K=np.zeros(len(self.ids)))


Rule = Callable[[Field, SearchConfig, np.random.Generator], Floats]
"""(candidates, settings, random numbers) -> score_K; the highest wins."""


@dataclass(frozen=True, slots=True)
class Selector:
    """A rule, and which candidates it is asked about."""

    rule: Rule
    widening: bool = True
    """Whether a node with as many children as progressive widening allows is none."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The node to edit next, why, and what the same rule would have chosen without Q."""

    node_id: str
    node_id_without_q: str
    """The choice with rl_weight 0 and the same random numbers."""
    field: Field
    score_K: Floats
    own_q: int
    """Candidates with a promise of their own; the others inherit one, or have none."""

    @property
    def changed_by_q(self) -> bool:
        return self.node_id != self.node_id_without_q

    @property
    def alpha_effective(self) -> float:
        """Mean weight of the critic over the candidates."""
        return float(self.field.alpha_K.mean())

    @property
    def q(self) -> float | None:
        """The promise of the chosen node; None without one."""
        promise = float(self.field.q_K[self.field.ids.index(self.node_id)])
        return None if np.isnan(promise) else promise

    def to_json(self) -> dict[str, Any]:
        """The winner, the choice without Q, and the best candidates with the numbers that decided."""
        best = np.argsort(-self.score_K, kind="stable")[:SHOWN].tolist()
        return {
            "node": self.node_id,
            "node_without_q": self.node_id_without_q,
            "alpha_effective": self.alpha_effective,
            "candidates": len(self.field.ids),
            "own_q": self.own_q,
            "best": [
                {
                    "node": self.field.ids[k],
                    "x": float(self.field.x_K[k]),
                    "n": int(self.field.n_K[k]),
                    "q": None if np.isnan(self.field.q_K[k]) else float(self.field.q_K[k]),
                    "alpha": float(self.field.alpha_K[k]),
                    "score": float(self.score_K[k]) if np.isfinite(self.score_K[k]) else None,
                }
                for k in best
            ],
        }


def select(
    tree: TreeView,
    q: QSnapshot | None,
    settings: SearchConfig,
    selector: Selector,
    rng: np.random.Generator,
    *,
    expandable: Expandable | None = None,
    in_flight: Mapping[str, int] = NONE_IN_FLIGHT,
) -> Choice:
    """The node to edit next.

    Args:
        q: None is the search without Q.
        selector: one of ``catalog.SELECTORS``.
        expandable: None: every workflow can be edited.
        in_flight: edits under way, by node id.

    Raises: SearchExhausted if no node can be edited.
    """
    nodes = candidates(tree, settings, expandable, in_flight, widening=selector.widening)
    if not nodes:
        raise SearchExhausted("no workflow has an edit left to try")
    field, own_q = make_field(tree, nodes, q, settings, in_flight)
    rule = selector.rule
    if not field.alpha_K.any():
        score_K = rule(field, settings, rng)
        chosen = field.ids[winner(field, score_K)]
        return Choice(chosen, chosen, field, score_K, own_q)
    state = rng.bit_generator.state
    without_q = field.ids[winner(field, rule(field.without_q(), settings, rng))]
    rng.bit_generator.state = state
    score_K = rule(field, settings, rng)
    return Choice(field.ids[winner(field, score_K)], without_q, field, score_K, own_q)


def candidates(
    tree: TreeView,
    settings: SearchConfig,
    expandable: Expandable | None,
    in_flight: Mapping[str, int],
    *,
    widening: bool = True,
) -> list[Node]:
    """Nodes that can be edited and, with ``widening``, are not full: those with fewer than
    ``widening_k * max(1, N) ** widening_a`` children, N being the edits of the node and everything below it; all of
    them where every one is full."""
    can_edit = [node for node in tree if expandable is None or expandable(node.id)]
    if not widening:
        return can_edit
    k, a = settings.widening_k, settings.widening_a
    room = []
    for node in can_edit:
        made = len(tree.children(node.id)) + in_flight.get(node.id, 0)
        if not made or made < k * max(1, node.visits) ** a:
            room.append(node)
    return room or can_edit


def make_field(
    tree: TreeView, nodes: list[Node], q: QSnapshot | None, settings: SearchConfig, in_flight: Mapping[str, int]
) -> tuple[Field, int]:
    """(candidates side by side, how many have a promise of their own)."""
    estimates = tree.estimates()
    n_K = np.array([node.edits + in_flight.get(node.id, 0) for node in nodes], dtype=np.float64)
    q_K, alpha_K, own = np.full(len(nodes), np.nan), np.zeros(len(nodes)), 0
    if q is not None:
        for k, node in enumerate(nodes):
            promise = q.values.get(node.id)
            own += promise is not None
            if promise is None:
                promise, _ = q.lookup(node.id, tree.ancestors(node.id))
            if promise is not None:
                q_K[k] = promise
        alpha_K = np.where(np.isnan(q_K), 0.0, weight(settings, q.node_confidence, n_K))
    field = Field(
        ids=tuple(node.id for node in nodes),
        root_id=tree.root_id,
        x_K=np.array([estimates.x[node.id] for node in nodes]),
        sd_K=np.array([estimates.sd[node.id] for node in nodes]),
        mean_K=np.array([node.mean for node in nodes]),
        n_K=n_K,
        logprob_K=np.array([np.nan if node.logprob is None else node.logprob for node in nodes]),
        q_K=q_K,
        alpha_K=alpha_K,
        total=tree.root.visits + float(sum(in_flight.values())),
        spread=estimates.tau,
    )
    return field, own


def weight(settings: SearchConfig, confidence: float, n_K: Floats | float) -> Floats:
    """alpha = rl_weight * confidence * sqrt(k / (3 n + k))."""
    return np.asarray(settings.rl_weight * confidence * np.sqrt(settings.trust_k / (3.0 * n_K + settings.trust_k)))


def winner(field: Field, score_K: Floats) -> int:
    """Place of the best score; of equals that with fewer edits, then the smaller id."""
    first = int(score_K.argmax())
    equals = np.flatnonzero(score_K == score_K[first])
    if len(equals) == 1:
        return first
    return int(min(equals.tolist(), key=lambda k: (field.n_K[k], field.ids[k])))
