"""Paired intervals, failures for prompts, and the refusal of incomplete evaluations."""

import pytest

from aflow_verl.errors import InfrastructureError
from aflow_verl.evaluation.comparison import Failure, compare, failures, require_complete
from aflow_verl.types import Evaluation, Grade, Problem

PROBLEMS = [Problem(f"p{k}", f"question {k}", "secret") for k in range(4)]


def graded(*scores: float) -> Evaluation:
    return Evaluation(tuple(Grade(f"p{k}", score, answer=f"answer {k}") for k, score in enumerate(scores)))


def test_a_child_is_compared_on_the_problems_that_both_have() -> None:
    gain = compare(graded(1.0, 1.0, 0.0), graded(1.0, 0.0))
    assert (gain.mean, gain.n) == (0.5, 2)
    assert -1.0 <= gain.low < 0.5 < gain.high <= 1.0
    wide = compare(graded(1.0, 1.0), graded(0.0, 0.0), confidence=0.99)
    assert wide.low < compare(graded(1.0, 1.0), graded(0.0, 0.0), confidence=0.8).low


def test_failures_show_what_was_asked_and_what_came_out_never_the_reference() -> None:
    evaluation = Evaluation((Grade("p0", 1.0, "1"), Grade("p1", 0.0, "2"), Grade("p2", 0.0, error="it broke")))
    assert failures(evaluation, PROBLEMS, 5) == (
        Failure("question 1", "2", None, 0.0),
        Failure("question 2", "", "it broke", 0.0),
    )
    assert len(failures(evaluation, PROBLEMS, 1)) == 1
    assert "secret" not in repr(failures(evaluation, PROBLEMS, 5))


def test_incomplete_evaluations_are_refused_where_completeness_counts() -> None:
    assert require_complete(graded(1.0)).mean == 1.0
    with pytest.raises(InfrastructureError, match="1 of 2 problems could not be graded: overloaded"):
        require_complete(Evaluation((Grade("p0", 1.0),), ("p1",), "overloaded"))
