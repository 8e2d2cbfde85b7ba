"""Twins: identical programs of one search, whose scores differ by luck alone."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from aflow_verl.study.recorded import RecordedTree


@dataclass(frozen=True, slots=True)
class Twins:
    """Of one search."""

    copies: int
    """Workflows whose program an earlier one of the search has."""
    pairs: int
    mean_gap: float
    """Mean distance of the scores of two twins; 0.0 without twins."""
    largest_gap: float
    best_gap: float | None
    """Score of the best workflow minus the mean of its twins'; None: it has none."""


def twins(tree: RecordedTree) -> Twins | None:
    """None where the programs are not recorded."""
    if tree.programs is None:
        return None
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for row, program in enumerate(tree.programs):
        groups[program].append(row)
    mean_N = tree.mean_N
    gaps = [abs(mean_N[a] - mean_N[b]) for group in groups.values() for a, b in combinations(group, 2)]
    best = int(mean_N.argmax())
    others = [row for row in groups[tree.programs[best]] if row != best]
    return Twins(
        copies=len(tree.programs) - len(groups),
        pairs=len(gaps),
        mean_gap=float(np.mean(gaps)) if gaps else 0.0,
        largest_gap=float(max(gaps, default=0.0)),
        best_gap=float(mean_N[best] - mean_N[others].mean()) if others else None,
    )
