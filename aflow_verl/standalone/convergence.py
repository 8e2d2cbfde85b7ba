"""AFlow's stopping rule: the best rounds have stopped getting better.

After each round, Y is the mean of the TOP best round means so far, and sigma its standard error, sqrt(sum s_i^2) / TOP.
The search has converged once |dY| <= z * sqrt(sigma^2 + sigma of the round before^2) has held for PATIENCE rounds in a
row (AFlow, ``scripts/optimizer_utils/convergence_utils.py``; its z is 0: Y must not move at all).

One departure: s_i is the standard error of a round's mean over its problems, where AFlow takes the deviation between
several validation runs of the round, which is 0 for the one run of its default.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

TOP = 3
PATIENCE = 5
"""Both as in AFlow's code."""


def converged(means: Sequence[float], errors: Sequence[float], z: float = 0.0) -> bool:
    """Whether the rule holds after any of these rounds.

    Args:
        means: of the rounds, the seed's first; a round without a usable workflow has mean 0, as in AFlow.
        errors: their standard errors.
        z: quantile of the normal distribution.
    """
    if len(means) <= TOP:
        return False
    best = [_best(means[: k + 1], errors[: k + 1]) for k in range(len(means))]
    still = 0
    for (y_before, sigma_before), (y, sigma) in pairwise(best):
        still = still + 1 if abs(y - y_before) <= z * math.hypot(sigma, sigma_before) else 0
        if still >= PATIENCE:
            return True
    return False


def _best(means: Sequence[float], errors: Sequence[float]) -> tuple[float, float]:
    """(Y, sigma)."""
    top = sorted(zip(means, errors, strict=True), reverse=True)[:TOP]
    return math.fsum(mean for mean, _ in top) / len(top), math.hypot(*(error for _, error in top)) / TOP
