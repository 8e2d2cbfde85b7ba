"""The fused score: how the critic's word and the search's own statistics become one number per candidate.

    raw          (1 - alpha) * (X + exploration) + alpha * Q
    normalized   (1 - alpha) * Xhat + alpha * Rhat + exploration

Xhat and Rhat are X and reach, min-max over the K candidates, 0.5 where all are equal. alpha is given per candidate
(0 for one of which nothing is known), so that a rule which trusts some candidates more than others fits in. Every
result is finite for finite terms; alpha 0 gives the very numbers of the search without Q.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aflow_verl.errors import RecipeError


@dataclass(frozen=True, slots=True)
class Terms:
    """The numbers of K candidates that compete at one node."""

    x_K: Sequence[float]
    """Posterior mean scores."""
    reach_K: Sequence[float]
    """Absolute scores promised, see ``search.reach``."""
    q_K: Sequence[float]
    """Gains promised over the node at which they compete."""
    exploration_K: Sequence[float]
    alpha_K: Sequence[float]
    """Weight of the critic, in [0, 1]."""


Fusion = Callable[[Terms], list[float]]


def raw(terms: Terms) -> list[float]:
    """(1 - alpha) * UCB + alpha * Q, literally, UCB = X + exploration."""
    rows = zip(terms.x_K, terms.exploration_K, terms.q_K, terms.alpha_K, strict=True)
    return [_mix(alpha, x + exploration, q) for x, exploration, q, alpha in rows]


def normalized(terms: Terms) -> list[float]:
    """(1 - alpha) * Xhat + alpha * Rhat + exploration."""
    rows = zip(min_max(terms.x_K), min_max(terms.reach_K), terms.exploration_K, terms.alpha_K, strict=True)
    return [_mix(alpha, x, promised) + exploration for x, promised, exploration, alpha in rows]


def min_max(values_K: Sequence[float]) -> list[float]:
    """(value - min) / (max - min), in [0, 1]; 0.5 for all where max = min."""
    low, high = min(values_K), max(values_K)
    if high == low:
        return [0.5] * len(values_K)
    return [(value - low) / (high - low) for value in values_K]


def _mix(alpha: float, own: float, critic: float) -> float:
    """alpha = 0 leaves ``own`` as it is, to the last bit."""
    return own if alpha == 0.0 else (1.0 - alpha) * own + alpha * critic


FUSIONS: dict[str, Fusion] = {"raw": raw, "normalized": normalized}


def fusion_named(name: str) -> Fusion:
    """Raises RecipeError for a name that is not in the table."""
    if name not in FUSIONS:
        raise RecipeError(f"search.fusion: {name!r} is not one of {', '.join(FUSIONS)}")
    return FUSIONS[name]
