"""Do intervals hold? Made on one half of a recorded search's problems, held against the other half."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from aflow_verl.evaluation.prediction import predict_gain, predict_mean
from aflow_verl.statistics import Interval
from aflow_verl.study.recorded import RecordedTree

Kind = Literal["mean", "gain"]
ROUNDING = 1e-9
"""Sums of equal scores in another order differ by less."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """Of the intervals of one kind in one search."""

    kind: Kind
    """``mean``: a workflow's score. ``gain``: a child's score minus its parent's, paired on problems."""
    cases: int
    covered: int
    width: float
    """Mean width, in score units."""

    @property
    def share(self) -> float:
        return self.covered / self.cases


def coverage(tree: RecordedTree, splits: int, rng: np.random.Generator, confidence: float = 0.95) -> list[Coverage]:
    """Over random splits, each workflow and each edit a case; one recorded run of each workflow on each problem.

    A search without two scored workflows in a line has no case of a gain, and no row for it.
    """
    found: dict[Kind, list[tuple[bool, float]]] = {"mean": [], "gain": []}
    for _ in range(splits):
        for kind, interval, shown in _cases(tree, rng, confidence):
            covered = interval.low - ROUNDING <= shown <= interval.high + ROUNDING
            found[kind].append((covered, interval.high - interval.low))
    return [
        Coverage(kind, len(cases), sum(covered for covered, _ in cases), float(np.mean([width for _, width in cases])))
        for kind, cases in found.items()
        if cases
    ]


def _cases(tree: RecordedTree, rng: np.random.Generator, confidence: float) -> Iterator[tuple[Kind, Interval, float]]:
    """(kind, interval from one half, mean on the other half)."""
    n, _, p = tree.scores_NRP.shape
    run_NP = (rng.random((n, p)) * tree.runs_N[:, None]).astype(np.int64)
    scores_NP = np.take_along_axis(tree.scores_NRP, run_NP[:, None, :], axis=1)[:, 0]
    order = rng.permutation(p)
    seen, other = order[: p // 2], order[p // 2 :]
    for row_P in scores_NP:
        yield "mean", predict_mean(row_P[seen].tolist(), len(other), confidence), float(row_P[other].mean())
    for child, parent in enumerate(tree.parents):
        if parent is not None:
            gain_P = scores_NP[child] - scores_NP[parent]
            yield "gain", predict_gain(gain_P[seen].tolist(), len(other), confidence), float(gain_P[other].mean())
