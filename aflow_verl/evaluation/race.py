"""Two workflows on the same problems, in stages, until it is clear which one is better (``racing`` says when)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from statistics import fmean

import numpy as np

from aflow_verl.config import RacingConfig
from aflow_verl.evaluation.racing import Verdict, verdict
from aflow_verl.statistics import Interval, paired_interval
from aflow_verl.types import Evaluation, Problem
from aflow_verl.workflow.state import WorkflowState

PASSES = 5
"""Runs of a workflow on one problem, at most, unless the settings have a cap: as many as AFlow's paper makes."""
Stage = Callable[[WorkflowState, Sequence[Problem], int], Awaitable[Evaluation]]
"""Grades a workflow on problems, for the how-manieth time."""


@dataclass(frozen=True)
class Race:
    """How a child did against its parent."""

    verdict: Verdict
    child: dict[str, float]
    """Mean score by problem, over the runs on it."""
    parent: dict[str, float]
    gain: float
    """Mean difference over all runs."""
    runs: int
    """Of each workflow."""
    calls: int
    """Executor calls of both, cached ones included."""
    reason: str | None = None
    """Of ``incomplete``: what failed."""

    @property
    def leads(self) -> bool:
        """Whether the child is to be chosen. A tie is no reason to change."""
        return self.gain > 0 and self.verdict != "incomplete"

    def interval(self, confidence: float = 0.95) -> Interval:
        """Of the gain; as if the number of problems had been fixed, so after an early stop it is too narrow."""
        return paired_interval(self.child, self.parent, confidence)


async def race(
    stage: Stage,
    child: WorkflowState,
    parent: WorkflowState,
    problems: Sequence[Problem],
    settings: RacingConfig,
    *,
    seed: int,
    repeats: bool,
) -> Race:
    """Problems are drawn in an order of the seed's; when all have been, again in another one, if ``repeats``."""
    passes = PASSES if repeats else 1
    draws = islice(_draws(problems, passes, seed), settings.cap)
    book = _Book()
    while chunk := list(islice(draws, settings.stage)):
        for sample, group in groupby(chunk, key=lambda draw: draw[0]):
            chosen = [problem for _, problem in group]
            ours, theirs = await asyncio.gather(stage(child, chosen, sample), stage(parent, chosen, sample))
            if reason := ours.reason or theirs.reason:
                return book.close("incomplete", reason)
            book.enter(ours, theirs)
        if (ended := verdict(book.differences, settings.error_rate, settings.margin)) is not None:
            return book.close(ended)
    return book.close("cap")


def _draws(problems: Sequence[Problem], passes: int, seed: int) -> Iterator[tuple[int, Problem]]:
    rng = np.random.default_rng(seed)
    for sample in range(passes):
        for index in rng.permutation(len(problems)):
            yield sample, problems[index]


class _Book:
    """The results so far."""

    def __init__(self) -> None:
        self.differences: list[float] = []
        self._scores: dict[str, tuple[list[float], list[float]]] = {}
        self._calls = 0

    def enter(self, child: Evaluation, parent: Evaluation) -> None:
        """Complete evaluations on the same problems."""
        self._calls += child.calls + parent.calls
        for own, other in zip(child.grades, parent.grades, strict=True):
            self.differences.append(own.score - other.score)
            ours, theirs = self._scores.setdefault(own.problem_id, ([], []))
            ours.append(own.score)
            theirs.append(other.score)

    def close(self, ended: Verdict, reason: str | None = None) -> Race:
        return Race(
            ended,
            {problem_id: fmean(ours) for problem_id, (ours, _) in self._scores.items()},
            {problem_id: fmean(theirs) for problem_id, (_, theirs) in self._scores.items()},
            fmean(self.differences) if self.differences else 0.0,
            len(self.differences),
            self._calls,
            reason,
        )
