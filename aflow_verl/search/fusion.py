"""The fused score: how the critic's word and the search's own statistics become one number per candidate.

    raw          (1 - alpha) * (X + exploration) + alpha * Q
    normalized   (1 - alpha) * Xhat + alpha * Rhat + exploration
    trusted      the same with alpha * confidence * sqrt(k / (3 n + k)) in place of alpha

Xhat and Rhat are X and reach, min-max over the K candidates, 0.5 where all are equal. alpha is given per candidate (0
for one of which nothing is known). The schedule of ``trusted`` is that of MC-RAVE (Gelly and Silver, "Monte-Carlo tree
search and rapid action value estimation in computer Go", 2011): the critic speaks while a candidate has few visits, as
far as its order has proved right. Every result is finite for finite terms; alpha 0 gives the very numbers of the search
without Q.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from aflow_verl.errors import RecipeError
from aflow_verl.search.columns import Floats


@dataclass(frozen=True, slots=True)
class Terms:
    """The numbers of K candidates that compete at one node."""

    x_K: Floats
    """Posterior mean scores."""
    reach_K: Floats
    """Absolute scores promised, see ``search.reach``."""
    q_K: Floats
    """Gains promised over the node at which they compete."""
    exploration_K: Floats
    alpha_K: Floats
    """Weight of the critic, in [0, 1]."""
    x_hat_K: Floats | None = None
    reach_hat_K: Floats | None = None
    """``min_max`` of X and of reach, where they are known already."""


@dataclass(frozen=True, slots=True)
class Trust:
    """What the weight of the critic depends on."""

    rl_weight: float
    confidence: float
    """Of the snapshot, in [0, 1]."""
    k: float
    """Visits at which half of the squared weight is gone, times three."""


Weight = Callable[[Trust, Floats], Floats]
"""(trust, visits n_K) -> alpha_K."""
Score = Callable[[Terms], Floats]


@dataclass(frozen=True, slots=True)
class Fusion:
    """How alpha is found, and how it mixes."""

    weight: Weight
    score: Score


def constant(trust: Trust, n_K: Floats) -> Floats:
    """alpha_K = rl_weight."""
    return np.full(len(n_K), trust.rl_weight)


def shrinking(trust: Trust, n_K: Floats) -> Floats:
    """alpha_K = rl_weight * confidence * sqrt(k / (3 n_K + k))."""
    alpha_K: Floats = trust.rl_weight * trust.confidence * np.sqrt(trust.k / (3.0 * n_K + trust.k))
    return alpha_K


def raw(terms: Terms) -> Floats:
    """(1 - alpha) * UCB + alpha * Q, literally, UCB = X + exploration."""
    return _mix(terms.alpha_K, terms.x_K + terms.exploration_K, terms.q_K)


def normalized(terms: Terms) -> Floats:
    """(1 - alpha) * Xhat + alpha * Rhat + exploration."""
    x_hat_K = min_max(terms.x_K) if terms.x_hat_K is None else terms.x_hat_K
    reach_hat_K = min_max(terms.reach_K) if terms.reach_hat_K is None else terms.reach_hat_K
    return _mix(terms.alpha_K, x_hat_K, reach_hat_K) + terms.exploration_K


def min_max(values_K: Floats) -> Floats:
    """(value - min) / (max - min), in [0, 1]; 0.5 for all where max = min."""
    low, high = values_K.min(), values_K.max()
    if high == low:
        return np.full(len(values_K), 0.5)
    scaled_K: Floats = (values_K - low) / (high - low)
    return scaled_K


def _mix(alpha_K: Floats, own_K: Floats, critic_K: Floats) -> Floats:
    """alpha = 0 leaves ``own`` as it is, to the last bit."""
    if not alpha_K.any():
        return own_K
    return np.where(alpha_K == 0.0, own_K, (1.0 - alpha_K) * own_K + alpha_K * critic_K)


FUSIONS: dict[str, Fusion] = {
    "raw": Fusion(constant, raw),
    "normalized": Fusion(constant, normalized),
    "trusted": Fusion(shrinking, normalized),
}


def fusion_named(name: str) -> Fusion:
    """Raises RecipeError for a name that is not in the table."""
    if name not in FUSIONS:
        raise RecipeError(f"search.fusion: {name!r} is not one of {', '.join(FUSIONS)}")
    return FUSIONS[name]
