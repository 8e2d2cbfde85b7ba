"""What other problems will show, from the problems seen: intervals that hold the noise of both.

The mean of n scores and the mean of m others differ by their two sampling errors, of variance s ** 2 * (1 / n + 1 / m).
s ** 2 and the centre are taken over the scores and one more problem's worth of prior, in even parts on what a problem
with right and wrong answers can show (Perks 1947, J. Inst. Actuaries 73, 285; for one workflow it is Jeffreys' prior):
a half each on 0 and 1 for a score; a quarter each on -1 and 1 and a half on 0 for a difference, which is the same prior
seen from a pair of workflows. So an interval does not collapse where all scores seen are equal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from aflow_verl.statistics import Interval


def predict_mean(scores: Sequence[float], others: int, confidence: float = 0.95) -> Interval:
    """Interval of the mean score on that many other problems, within [0, 1]. ``mean`` is that of the scores seen."""
    return _predict(scores, others, confidence, {0.0: 0.5, 1.0: 0.5})


def predict_gain(differences: Sequence[float], others: int, confidence: float = 0.95) -> Interval:
    """The same for the mean of paired differences, within [-1, 1]."""
    return _predict(differences, others, confidence, {-1.0: 0.25, 0.0: 0.5, 1.0: 0.25})


def _predict(seen: Sequence[float], others: int, confidence: float, prior: dict[float, float]) -> Interval:
    n = len(seen)
    low, high = min(prior), max(prior)
    if n == 0 or others == 0:
        return Interval(0.0, low, high, n)
    values = np.array([*seen, *prior], dtype=float)
    weights = np.array([1.0] * n + list(prior.values())) / (n + 1)
    centre = float(weights @ values)
    variance = float(weights @ (values - centre) ** 2) * (1 / n + 1 / others)
    half = NormalDist().inv_cdf(0.5 + confidence / 2) * math.sqrt(variance)
    return Interval(math.fsum(seen) / n, max(low, centre - half), min(high, centre + half), n)
