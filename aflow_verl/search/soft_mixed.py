"""AFlow's rule: a flat choice among the seed and the best others, half greedy and half uniform.

    P(i) = lambda / n + (1 - lambda) * softmax(alpha_s * 100 * (s_i - s_max))        AFlow, arXiv 2410.10762

Pool: the seed and the best ``sample - 1`` other nodes. Without Q, s is the plain mean score, as in AFlow (not the
posterior mean that the tree selectors use). With Q, s = (1 - rl_weight) * mean + rl_weight * reach, where reach stands
on the plain mean too; the recipe's ``fusion`` does not apply, for nothing here needs one scale.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aflow_verl.search.node import Node
from aflow_verl.search.reach import Promise, promise
from aflow_verl.search.selection import Part, SearchExhausted, Selected, Situation


@dataclass(frozen=True, slots=True)
class Scored:
    """A node and the s of the formula."""

    node: Node
    score: float
    promised: Promise


def soft_mixed(situation: Situation) -> Selected:
    """Draws one node; takes exactly one number from the generator."""
    rules = situation.settings.soft_mixed
    scored = [_scored(situation, node) for node in situation.tree if situation.expandable(node.id)]
    if not scored:
        raise SearchExhausted("no workflow has an edit left to try")
    pool = _pool(scored, situation.tree.root_id, rules.sample)
    probabilities = soft_mixed_probabilities([entry.score for entry in pool], rules.alpha, rules.lambda_)
    chosen = draw(probabilities, float(situation.rng.random()))
    return Selected(pool[chosen].node.id, tuple(_part(situation, entry) for entry in pool))


def soft_mixed_probabilities(scores_K: Sequence[float], alpha: float, lambda_: float) -> NDArray[np.float64]:
    """P_K for scores in [0, 1] (times 100 here); one candidate gets 1."""
    percent_K = 100.0 * np.asarray(scores_K, dtype=np.float64)
    weights_K = np.exp(alpha * (percent_K - percent_K.max()))
    probabilities_K: NDArray[np.float64] = lambda_ / len(percent_K) + (1.0 - lambda_) * weights_K / weights_K.sum()
    return probabilities_K


def draw(probabilities_K: NDArray[np.float64], uniform: float) -> int:
    """Inverse of the distribution function at ``uniform`` in [0, 1): what NumPy's own ``choice`` does."""
    cumulative_K = np.cumsum(probabilities_K)
    return int(np.searchsorted(cumulative_K / cumulative_K[-1], uniform, side="right"))


def _pool(scored: Sequence[Scored], root_id: str, sample: int) -> list[Scored]:
    """The seed and the best others, best first; of equals the seed, then the older."""
    seed = [entry for entry in scored if entry.node.id == root_id]
    others = [entry for entry in scored if entry.node.id != root_id]
    best = heapq.nlargest(sample - len(seed), others, key=lambda entry: entry.score)
    return sorted([*seed, *best], key=lambda entry: entry.score, reverse=True)


def _scored(situation: Situation, node: Node) -> Scored:
    promised = promise(situation.tree, node, situation.q)
    alpha = _alpha(situation, promised)
    blended = node.mean if alpha == 0.0 else (1.0 - alpha) * node.mean + alpha * _reach(node, promised)
    return Scored(node, blended, promised)


def _alpha(situation: Situation, promised: Promise) -> float:
    return 0.0 if promised.value is None else situation.alpha


def _reach(node: Node, promised: Promise) -> float:
    """Reach over the plain mean in place of the posterior mean."""
    return promised.reach + (node.mean - node.posterior_mean)


def _part(situation: Situation, entry: Scored) -> Part:
    node, promised = entry.node, entry.promised
    v = None if promised.value is None else promised.value.v
    return Part(
        at=situation.tree.root_id,
        node=node.id,
        edit_here=True,
        x=node.mean,
        n=node.edits,
        in_flight=situation.in_flight.get(node.id, 0),
        prior=0.0,
        v=v,
        q=v,
        inherited=promised.inherited,
        reach=_reach(node, promised),
        exploration=0.0,
        alpha=_alpha(situation, promised),
        score=entry.score,
    )
