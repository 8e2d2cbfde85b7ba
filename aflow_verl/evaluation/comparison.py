"""What evaluations say: how sure a difference is, and what went wrong where."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from aflow_verl.errors import InfrastructureError
from aflow_verl.statistics import Interval, paired_interval
from aflow_verl.types import Evaluation, Problem


@dataclass(frozen=True, slots=True)
class Failure:
    """A problem that a workflow did not solve, as a prompt may show it: never with the reference."""

    problem: str
    answer: str
    error: str | None
    """Why the workflow failed by its own fault; None if it gave an answer."""
    score: float


def failures(evaluation: Evaluation, problems: Iterable[Problem], n: int) -> tuple[Failure, ...]:
    """The first ``n`` problems with less than the full score."""
    asked = {problem.id: problem.prompt for problem in problems}
    failed = [grade for grade in evaluation.grades if grade.score < 1.0]
    return tuple(Failure(asked[g.problem_id], g.answer, g.error, g.score) for g in failed[:n])


def scores(evaluation: Evaluation) -> dict[str, float]:
    """By problem id."""
    return {grade.problem_id: grade.score for grade in evaluation.grades}


def compare(child: Evaluation, parent: Evaluation, confidence: float = 0.95) -> Interval:
    """Gain of the child over the parent, and its interval, over the problems that both have a grade on."""
    return paired_interval(scores(child), scores(parent), confidence)


def require_complete(evaluation: Evaluation) -> Evaluation:
    """The evaluation itself. Raises InfrastructureError where problems are missing: such a mean is no reward."""
    if evaluation.missing:
        total = len(evaluation.missing) + evaluation.n
        raise InfrastructureError(
            f"{len(evaluation.missing)} of {total} problems could not be graded: {evaluation.reason}"
        )
    return evaluation
