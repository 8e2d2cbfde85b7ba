"""Paired gains: what an edit brought, on the problems that child and parent were both graded on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from aflow_verl.search.node import Node


@dataclass(frozen=True, slots=True)
class PairedGain:
    """Weighted differences u_j = w_j (child_j - parent_j), the weights w_j scaled to a mean of 1 over the problems."""

    n: int
    """Problems compared."""
    mean: float
    """Of u: the gain over all problems, however they were drawn; 0.0 for none."""
    squares: float
    """Sum of (u - mean)^2."""


NOT_COMPARED = PairedGain(0, 0.0, 0.0)
NO_GRADES: Mapping[str, float] = {}
Z = 1.96
"""Two-sided 95 %."""


def paired_gain(child: Node, parent: Node, without: Mapping[str, float] = NO_GRADES) -> PairedGain:
    """The child's gain over the parent.

    Args:
        without: problems that are left out.
    """
    own, other = child.grades, parent.grades
    if without:
        own = {problem: score for problem, score in own.items() if problem not in without}
    if not child.weights:
        differences = [score - other[problem] for problem, score in own.items() if problem in other]
    else:
        differences = _weighted(own, other, child.weights)
    n = len(differences)
    if not n:
        return NOT_COMPARED
    mean = sum(differences) / n
    return PairedGain(n, mean, max(0.0, sum([d * d for d in differences]) - n * mean * mean))


def gain_interval(gain: PairedGain, noise: float) -> tuple[float, float]:
    """95 % interval of the gain over all problems: mean -+ Z * sqrt(noise / n), within [-1, 1]; all of it for n = 0.

    Args:
        noise: variance of one problem's difference, pooled over the tree (``estimates``): a handful of problems that
            all agree says little of its own.
    """
    if not gain.n:
        return -1.0, 1.0
    half = Z * math.sqrt(noise / gain.n)
    return max(-1.0, gain.mean - half), min(1.0, gain.mean + half)


def _weighted(own: Mapping[str, float], other: Mapping[str, float], weights: Mapping[str, float]) -> list[float]:
    shared = [problem for problem in own if problem in other]
    w = [weights.get(problem, 1.0) for problem in shared]
    scale = len(w) / sum(w) if w else 1.0
    return [scale * weight * (own[problem] - other[problem]) for problem, weight in zip(shared, w, strict=True)]
