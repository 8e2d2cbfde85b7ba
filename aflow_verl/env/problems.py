"""Which problems a row's rewards are made from: those that tell workflows apart are drawn more often.

An edit shows on a problem where child and parent differ. The chance of that is estimated for each problem j from what
the tree knows: with p_j the believed score of the row's workflow on j, and ``fix`` and ``break`` the mean squared
difference that edits made on problems which their parent failed, or solved,

    s_j = sqrt(p_j * break + (1 - p_j) * fix)

Problems are drawn without replacement with inclusion probabilities pi_j in proportion to s_j (systematic sampling,
Madow 1949), part of it uniform so that no weight gets out of hand. They are drawn in the order of pi_j, so that every
row has its share of the problems which the workflow fails: in a random order some rows would have none of them, and no
edit could gain anything there. With the weights w_j = n / (N pi_j) the mean of w_j * d_j over the n drawn is an
unbiased estimate of the gain over all N problems (Horvitz and Thompson, 1952), whatever s is; a good s makes it a
precise one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aflow_verl.search.node import Node
from aflow_verl.search.view import TreeView

Floats = NDArray[np.float64]

UNIFORM = 0.1
"""Share of the uniform distribution: no weight is above 1 / UNIFORM."""
FIX, BREAK, PSEUDO = 0.25, 0.04, 20.0
"""Believed of a young tree, in pseudo-problems: an edit mends one failure in four, and spoils one success in 25."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a tree says of N problems."""

    ids: tuple[str, ...]
    fix: float
    """Mean squared difference of child and parent on problems that the parent failed (scored below 1/2)."""
    spoil: float
    """The same on problems that it solved."""
    sum_N: Floats
    """Of all scores on the problem."""
    count_N: Floats
    """Their number."""


def seen(problem_ids: Sequence[str], tree: TreeView) -> Seen:
    """One pass over all grades of the tree."""
    squares = {False: PSEUDO * FIX, True: PSEUDO * BREAK}
    edits = {False: PSEUDO, True: PSEUDO}
    sums, counts = dict.fromkeys(problem_ids, 0.0), dict.fromkeys(problem_ids, 0.0)
    for node in tree:
        before = {} if node.parent_id is None else tree[node.parent_id].grades
        for problem, score in node.grades.items():
            if problem in sums:
                sums[problem] += score
                counts[problem] += 1.0
            if (old := before.get(problem)) is not None:
                squares[old >= 0.5] += (score - old) ** 2
                edits[old >= 0.5] += 1.0
    fix, spoil = (squares[solved] / edits[solved] for solved in (False, True))
    return Seen(tuple(problem_ids), fix, spoil, np.array([*sums.values()]), np.array([*counts.values()]))


def draw_problems(known: Seen, count: int, node: Node, x: float, rng: np.random.Generator) -> dict[str, float]:
    """Problem id -> weight, for ``count`` of the problems (all of them, each with weight 1, where there are no more).

    Args:
        node: the workflow that the row edits first.
        x: its believed score.
    """
    if count >= len(known.ids):
        return dict.fromkeys(known.ids, 1.0)
    p_N = believed_scores(known, node, x)
    inclusion_N = inclusion(np.sqrt(p_N * known.spoil + (1.0 - p_N) * known.fix), count)
    return {known.ids[j]: count / (len(known.ids) * float(inclusion_N[j])) for j in systematic(inclusion_N, rng)}


def believed_scores(known: Seen, node: Node, x: float) -> Floats:
    """p_N in [0, 1]: the node's own grade, else the mean of all grades on the problem and two of the node's X."""
    mean_N = (known.sum_N + 2.0 * min(max(x, 0.0), 1.0)) / (known.count_N + 2.0)
    return np.array([node.grades.get(problem, mean) for problem, mean in zip(known.ids, mean_N.tolist(), strict=True)])


def inclusion(size_N: Floats, count: int) -> Floats:
    """pi_N in (0, 1] with sum ``count``, in proportion to size where that is at most 1; see ``UNIFORM``."""
    total = size_N.sum()
    share_N = np.full(len(size_N), 1.0 / len(size_N)) if total == 0.0 else size_N / total
    share_N = UNIFORM / len(size_N) + (1.0 - UNIFORM) * share_N
    pi_N = np.zeros(len(size_N))
    certain = np.zeros(len(size_N), dtype=bool)
    while True:  # those that would be drawn more than once are certain; the others share what is left
        left = count - certain.sum()
        pi_N = np.where(certain, 1.0, left * share_N / share_N[~certain].sum())
        over = (pi_N >= 1.0) & ~certain
        if not over.any():
            return pi_N
        certain |= over


def systematic(inclusion_N: Floats, rng: np.random.Generator) -> list[int]:
    """Places drawn with these inclusion probabilities, whose sum is whole, in their order; equals in a random one."""
    order = np.lexsort((rng.random(len(inclusion_N)), inclusion_N))
    ends = np.cumsum(inclusion_N[order])
    count = round(float(ends[-1]))
    points = rng.random() + np.arange(count)
    places = np.minimum(np.searchsorted(ends, points, side="right"), len(order) - 1)
    return sorted(set(order[places].tolist()))
