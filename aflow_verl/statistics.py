"""Gains and intervals: how sure a difference of scores is. Scores in [0, 1], confidence in (0, 1)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and its confidence interval."""

    mean: float
    low: float
    high: float
    n: int
    """Scores, or pairs of scores, that it rests on."""


def paired_gain(child: Mapping[str, float], parent: Mapping[str, float]) -> tuple[float, int]:
    """(mean of child - parent over the problems that both have a score on, their number); (0.0, 0) for none."""
    differences = _differences(child, parent)
    return (math.fsum(differences) / len(differences) if differences else 0.0), len(differences)


def mean_interval(scores: Sequence[float], confidence: float = 0.95) -> Interval:
    """Interval of the mean score, within [0, 1].

    Scores that are all 0 or 1: Wilson's score interval (Wilson 1927, without continuity correction), which does not
    collapse at 0 of n or n of n. Others: Student's t on the mean; for one such score, and for none, [0, 1].
    """
    n = len(scores)
    if n == 0:
        return Interval(0.0, 0.0, 1.0, 0)
    mean = math.fsum(scores) / n
    if all(score in (0.0, 1.0) for score in scores):
        return Interval(mean, *_wilson(mean, n, confidence), n)
    return Interval(mean, *_student(scores, mean, confidence, 0.0), n)


def paired_interval(child: Mapping[str, float], parent: Mapping[str, float], confidence: float = 0.95) -> Interval:
    """Interval of the paired gain, within [-1, 1].

    Scores that are all 0 or 1: the adjusted Wald interval of Bonett and Price (2012, J. Educ. Behav. Stat. 37, 479),
    which stays honest for a handful of pairs and for pairs that all agree. Others: Student's t on the differences;
    for one such pair, and for none, [-1, 1].
    """
    differences = _differences(child, parent)
    n = len(differences)
    if n == 0:
        return Interval(0.0, -1.0, 1.0, 0)
    mean = math.fsum(differences) / n
    if all(child[problem] in (0.0, 1.0) and parent[problem] in (0.0, 1.0) for problem in child if problem in parent):
        return Interval(mean, *_bonett_price(differences, confidence), n)
    return Interval(mean, *_student(differences, mean, confidence, -1.0), n)


def _differences(child: Mapping[str, float], parent: Mapping[str, float]) -> list[float]:
    return [score - parent[problem] for problem, score in child.items() if problem in parent]


def _wilson(share: float, n: int, confidence: float) -> tuple[float, float]:
    z = _normal_quantile(confidence)
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def _bonett_price(differences: Sequence[float], confidence: float) -> tuple[float, float]:
    n = len(differences)
    better = (sum(d > 0 for d in differences) + 1) / (n + 2)
    worse = (sum(d < 0 for d in differences) + 1) / (n + 2)
    centre = better - worse
    half = _normal_quantile(confidence) * math.sqrt((better + worse - centre * centre) / (n + 2))
    return max(-1.0, centre - half), min(1.0, centre + half)


def _student(values: Sequence[float], mean: float, confidence: float, lowest: float) -> tuple[float, float]:
    """t interval within [lowest, 1]; all of it for fewer than two values."""
    n = len(values)
    if n < 2:
        return lowest, 1.0
    from scipy.special import stdtrit  # takes long to import, and the commands' first words need none of it

    half = float(stdtrit(n - 1, 0.5 + confidence / 2)) * float(np.std(values, ddof=1)) / math.sqrt(n)
    return max(lowest, mean - half), min(1.0, mean + half)


def _normal_quantile(confidence: float) -> float:
    return NormalDist().inv_cdf(0.5 + confidence / 2)
