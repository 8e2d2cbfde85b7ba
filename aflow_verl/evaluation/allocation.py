"""Which workflow to grade on which problem next, so that the best one is found with few gradings.

Two questions, each with one rule:

* Which workflows? Those that still compete: successive halving (Karnin, Koren and Somekh 2013, ICML, "Almost optimal
  exploration in multi-armed bandits") without its rounds. After a share f of the budget the first
  finalists * (N / finalists) ** (1 - f) by posterior mean are graded, so that halving the field always costs the same.
  Nobody is out for good: one whose rivals fall behind it is graded again.
* On which problems? Those that separate the competitors most (``difficulty.separation``), as a computerised test picks
  its next question (Lord 1980, Applications of Item Response Theory). A problem without grades is worth what the
  tree's problems are worth in the mean. It is first shown to two workflows only: if both solve it, or neither does, it
  hardly separates the others, and their gradings are better spent elsewhere; where they differ, all follow.

Both are functions of the grades, so a search can stop and go on anywhere. Grades on hand-picked problems say nothing
as plain means: read them through ``difficulty.posterior``. Shrinking workflows towards their parents instead of the
median was tried on recorded searches and made the final choice worse (docs/study_replay.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from aflow_verl.evaluation.difficulty import Fit, Floats, Grades, Ints, posterior, separation

FINALISTS = 2
"""Workflows that are still graded when the budget ends."""
PROBES = 2
"""Workflows that try a problem before it is known whether it separates."""
REPEAT = 0.5
"""What another run on the same problem is worth beside the one before it: it asks the same question again."""
FIRST_STAGE = 8
"""Problems of a race's first stage."""
CLEAR = 1.645
"""Standard errors by which a child must be behind to be out: one-sided 5 %."""

Cell = tuple[int, int]
"""(row of the workflow, column of the problem)."""


def contenders(mean_N: Floats, spent: float) -> Ints:
    """Rows that still compete, best first, after the share ``spent`` in [0, 1] of the budget; all of them at 0."""
    n = len(mean_N)
    # The small number is for powers that come out a hair above a whole one.
    size = n if n <= FINALISTS else math.ceil(FINALISTS * (n / FINALISTS) ** (1 - spent) - 1e-9)
    return np.argsort(-mean_N, kind="stable")[:size]


def next_batch(
    grades: Grades, fitted: Fit, left: int, rng: np.random.Generator, runs_NP: Ints | None = None
) -> list[Cell]:
    """The next gradings: one for each contender, at most ``left``; none if there is nothing left to grade.

    Args:
        left: gradings that the budget still allows.
        rng: order in which the contenders choose their problems. Of equal problems the first column is taken.
        runs_NP: how often a cell can be graded; None: once.
    """
    spent = int(grades.count_NP.sum())
    if left <= 0:
        return []
    open_NP = grades.count_NP < (1 if runs_NP is None else runs_NP)
    mean_N = posterior(grades, fitted).mean_N
    field = contenders(mean_N, spent / (spent + left))
    able = field[open_NP[field].any(axis=1)]
    if not len(able):
        # All contenders are known as well as can be: the best of the others may still pass them.
        others = np.argsort(-mean_N, kind="stable")
        able = others[open_NP[others].any(axis=1)][:1]
    worth_P = separation(fitted, field)
    worth_KP = np.where(open_NP[able], worth_P * REPEAT ** grades.count_NP[able], -1.0)
    fresh_P = ~grades.count_NP.any(axis=0)
    probes_P = np.zeros(len(worth_P), dtype=np.int64)
    batch: list[Cell] = []
    for k in rng.permutation(len(able))[:left]:
        closed_P = fresh_P & (probes_P >= PROBES)
        p = int(np.argmax(np.where(closed_P, np.minimum(worth_KP[k], 0.0), worth_KP[k])))
        batch.append((int(able[k]), p))
        probes_P[p] += 1
    return batch


@dataclass(frozen=True, slots=True)
class Stage:
    """What a race does next."""

    verdict: Literal["grade", "out", "graded"]
    """``grade``: the problems below. ``out``: clearly not the best. ``graded``: on all problems; its mean decides."""
    problems: tuple[int, ...] = ()
    """Columns."""


def race_stage(grades: Grades, fitted: Fit, child: int, rivals: Sequence[int], first: int = FIRST_STAGE) -> Stage:
    """The next stage of a child's race against rivals that are graded already (incumbent, parent).

    Stages double: ``first`` problems, then as many again as the child is graded on, those that separate the rivals and
    the child first. The child is out as soon as for one rival
    mean_child + CLEAR * sqrt(sd_child ** 2 + sd_rival ** 2) < mean_rival.
    A child that leads is not declared the winner early: a new best is worth a grade on every problem.
    """
    known = posterior(grades, fitted)
    done = int((grades.count_NP[child] > 0).sum())
    open_P = grades.count_NP[child] == 0
    if not open_P.any():
        return Stage("graded")
    for rival in rivals if done else ():
        sd = math.hypot(known.sd_N[child], known.sd_N[rival])
        if known.mean_N[child] + CLEAR * sd < known.mean_N[rival]:
            return Stage("out")
    worth_P = np.where(open_P, separation(fitted, np.array([child, *rivals])), -1.0)
    ranked = np.argsort(-worth_P, kind="stable")[: min(max(first, done), int(open_P.sum()))]
    return Stage("grade", tuple(int(p) for p in ranked))
