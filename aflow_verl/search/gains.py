"""Paired gains of a node's children over the node itself, side by side."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import is_

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Grades = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Gains:
    """Differences child - parent on the problems that both were graded on, of K entries; entry 0 is the parent."""

    n_K: Floats
    mean_K: Floats
    squares_K: Floats
    """Sum of squared distances from the mean."""


class GainCache:
    """Gains that are summed up again only where grades have changed since."""

    __slots__ = ("_grades", "_table")

    def __init__(self) -> None:
        self._grades: list[Grades] = []
        self._table: Floats = np.empty((3, 0))

    def of(self, grades_K: Sequence[Grades]) -> Gains:
        """The gains over the first of these. A mapping that was seen before must not have been written to."""
        parent, known = grades_K[0], self._grades
        if not known or known[0] is not parent:
            stale: Iterable[int] = range(len(grades_K))
        else:
            same = map(is_, known, grades_K)
            stale = [k for k, kept in enumerate(same) if not kept] + list(range(len(known), len(grades_K)))
        if stale:
            self._grades = list(grades_K)
            # A new table, because the old one may be in somebody's hands.
            table = np.empty((3, len(grades_K)))
            table[:, : len(known)] = self._table
            for k in stale:
                table[:, k] = _row(parent, grades_K[k])
            self._table = table
        return Gains(*self._table)


def _row(parent: Grades, child: Grades) -> tuple[float, float, float]:
    differences = [score - parent[problem] for problem, score in child.items() if problem in parent]
    if not differences:
        return 0.0, 0.0, 0.0
    mean = math.fsum(differences) / len(differences)
    return float(len(differences)), mean, math.fsum((d - mean) ** 2 for d in differences)
