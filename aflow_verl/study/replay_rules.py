"""Ways to spend gradings, tried on a recorded search. A grading is one workflow on one problem in one recorded run."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from aflow_verl.evaluation.allocation import next_batch, race_stage
from aflow_verl.evaluation.difficulty import SWEEPS as FROM_SCRATCH
from aflow_verl.evaluation.difficulty import Fit, Grades, fit, posterior
from aflow_verl.study.recorded import RecordedTree

SWEEPS = 2
"""Of EM between two batches, from the estimates before."""


class Desk:
    """Hands out recorded scores, each once, and keeps the account. Problems come in an order of the seed's."""

    def __init__(self, tree: RecordedTree, rng: np.random.Generator) -> None:
        n, runs, p = tree.scores_NRP.shape
        # Each cell's runs in an order of its own: otherwise one run's luck would stick to a workflow.
        order_NRP = np.argsort(np.where(np.isnan(tree.scores_NRP), np.inf, rng.random((n, runs, p))), axis=1)
        scores_NRP = np.take_along_axis(tree.scores_NRP, order_NRP, axis=1)
        self._scores_NRP = scores_NRP[:, :, rng.permutation(p)]
        self.runs_NP = np.broadcast_to(tree.runs_N[:, None], (n, p))
        self.grades = Grades(np.zeros((n, p), dtype=np.int64), np.zeros((n, p)))

    @property
    def spent(self) -> int:
        return int(self.grades.count_NP.sum())

    def grade(self, workflow: int, problem: int) -> None:
        run = self.grades.count_NP[workflow, problem]
        self.grades.total_NP[workflow, problem] += self._scores_NRP[workflow, run, problem]
        self.grades.count_NP[workflow, problem] += 1

    def grade_more(self, workflow: int, gradings: int) -> int:
        """The next ones in the common order of problems, from the first again after the last; how many there were."""
        count_P = self.grades.count_NP[workflow]
        done, p = int(count_P.sum()), len(count_P)
        end = min(done + gradings, int(self.runs_NP[workflow].sum()))
        for place in range(done, end):
            self.grade(workflow, place % p)
        return end - done

    def means_N(self) -> NDArray[np.float64]:
        return self.grades.total_NP.sum(axis=1) / np.maximum(self.grades.count_NP.sum(axis=1), 1)


Rule = Callable[[Desk, RecordedTree, int, np.random.Generator], int]
"""(desk, tree, budget, rng) -> row of the workflow that is chosen in the end."""


def uniform(desk: Desk, tree: RecordedTree, budget: int, rng: np.random.Generator) -> int:
    """The same number of gradings for all, on the same problems; the best mean is chosen."""
    n = len(tree.parents)
    for workflow in range(n):
        desk.grade_more(workflow, budget // n)
    return _best(desk.means_N(), np.arange(n), rng)


def halving(desk: Desk, tree: RecordedTree, budget: int, rng: np.random.Generator) -> int:
    """Sequential halving on shared problems: ceil(log2 N) rounds of equal cost, the better half goes on."""
    alive = np.arange(len(tree.parents))
    rounds = math.ceil(math.log2(len(alive)))
    for _ in range(rounds):
        each = max(1, budget // (rounds * len(alive)))
        for workflow in alive:
            desk.grade_more(int(workflow), min(each, budget - desk.spent))
        ranked = np.lexsort((rng.random(len(alive)), -desk.means_N()[alive]))
        alive = alive[ranked[: math.ceil(len(alive) / 2)]]
    return int(alive[0])


def adaptive(desk: Desk, tree: RecordedTree, budget: int, rng: np.random.Generator) -> int:
    """This project's rule, ``aflow_verl.evaluation.allocation``; the best posterior mean is chosen."""
    fitted: Fit | None = None
    while True:
        fitted = fit(desk.grades, fitted, SWEEPS)
        batch = next_batch(desk.grades, fitted, budget - desk.spent, rng, desk.runs_NP)
        if not batch:
            return _best(posterior(desk.grades, fit(desk.grades)).mean_N, np.arange(len(tree.parents)), rng)
        for workflow, problem in batch:
            desk.grade(workflow, problem)


def one_by_one(desk: Desk, tree: RecordedTree, budget: int, rng: np.random.Generator) -> int:
    """As a search meets them: each new workflow races the best one so far. No budget: it spends what it needs."""
    del budget, rng
    best, problems = 0, desk.runs_NP.shape[1]
    desk.grade_more(best, problems)
    for child in range(1, len(tree.parents)):
        fitted: Fit | None = None
        while True:
            known = Grades(desk.grades.count_NP[: child + 1], desk.grades.total_NP[: child + 1])
            fitted = fit(known, fitted, SWEEPS if fitted else FROM_SCRATCH)
            stage = race_stage(known, fitted, child, [best])
            for problem in stage.problems:
                desk.grade(child, problem)
            if stage.verdict != "grade":
                break
        means_N = desk.means_N()
        if stage.verdict == "graded" and means_N[child] > means_N[best]:
            best = child
    return best


def whole_set(desk: Desk, tree: RecordedTree, budget: int, rng: np.random.Generator) -> int:
    """Every workflow once on every problem, as AFlow does at its default, whatever the budget."""
    del budget
    for workflow in range(len(tree.parents)):
        desk.grade_more(workflow, desk.runs_NP.shape[1])
    return _best(desk.means_N(), np.arange(len(tree.parents)), rng)


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "uniform": uniform,
        "halving": halving,
        "adaptive": adaptive,
        "one by one": one_by_one,
        "whole set": whole_set,
    }
)
"""Name in the report -> rule."""


def _best(mean_N: NDArray[np.float64], rows: NDArray[np.int64], rng: np.random.Generator) -> int:
    """The row with the highest mean; among equals, one by lot."""
    top = rows[mean_N[rows] >= mean_N[rows].max() - 1e-12]
    return int(rng.choice(top))
