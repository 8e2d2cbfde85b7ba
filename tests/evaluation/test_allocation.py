"""Which gradings come next: the field, the problems, the ends of a race."""

from __future__ import annotations

import numpy as np
import pytest

from aflow_verl.evaluation.allocation import Stage, contenders, next_batch, race_stage
from aflow_verl.evaluation.difficulty import Grades, fit


def empty(n: int, p: int) -> Grades:
    return Grades(np.zeros((n, p), dtype=int), np.zeros((n, p)))


@pytest.mark.parametrize(("spent", "size"), [(0.0, 32), (0.25, 16), (0.5, 8), (0.75, 4), (1.0, 2)])
def test_a_quarter_of_the_budget_halves_a_field_of_32(spent: float, size: int) -> None:
    mean = np.arange(32.0)
    assert contenders(mean, spent).tolist() == list(range(31, 31 - size, -1))


def test_two_workflows_both_stay() -> None:
    assert contenders(np.array([0.1, 0.9]), 1.0).tolist() == [1, 0]


def test_a_fresh_problem_is_tried_by_two() -> None:
    grades = empty(6, 4)
    batch = next_batch(grades, fit(grades), left=100, rng=np.random.default_rng(0))
    assert sorted(n for n, _ in batch) == [0, 1, 2, 3, 4, 5]
    assert sorted(p for _, p in batch) == [0, 0, 1, 1, 2, 2]


def test_all_follow_where_two_differ_and_none_where_they_agree() -> None:
    grades = empty(6, 8)
    for p in range(4):  # two workflows each on four problems; they differ on problem 2 only
        for n in (0, 1):
            grades.count_NP[n, p] = 1
            grades.total_NP[n, p] = 1.0 if (n, p) != (1, 2) else 0.0
    batch = next_batch(grades, fit(grades), left=100, rng=np.random.default_rng(0))
    others = {p for n, p in batch if n > 1}
    assert others == {2}
    assert {p for n, p in batch if n < 2} <= {4, 5, 6, 7}


def test_the_budget_is_kept() -> None:
    grades = empty(6, 4)
    assert len(next_batch(grades, fit(grades), left=3, rng=np.random.default_rng(0))) == 3
    assert next_batch(grades, fit(grades), left=0, rng=np.random.default_rng(0)) == []


def test_nothing_is_left_when_all_is_graded_unless_it_can_run_again() -> None:
    grades = Grades(np.ones((3, 2), dtype=int), np.ones((3, 2)))
    rng = np.random.default_rng(0)
    assert next_batch(grades, fit(grades), left=9, rng=rng) == []
    again = next_batch(grades, fit(grades), left=9, rng=rng, runs_NP=np.array([[1, 1], [1, 2], [1, 1]]))
    assert again == [(1, 1)]


def test_equal_grades_give_equal_batches() -> None:
    grades = empty(9, 20)
    one, two = (next_batch(grades, fit(grades), 50, np.random.default_rng(3)) for _ in range(2))
    assert one == two


def incumbent_and_child(child: list[float]) -> Grades:
    """The incumbent solves 18 of 20 problems."""
    rows = {"incumbent": [1.0] * 18 + [0.0] * 2, "child": child}
    named = {name: {str(p): x for p, x in enumerate(row)} for name, row in rows.items()}
    return Grades.of(named, [str(p) for p in range(20)])


def stage(child: list[float]) -> Stage:
    grades = incumbent_and_child(child)
    return race_stage(grades, fit(grades), 1, [0])


def test_a_race_opens_with_eight_problems_and_doubles() -> None:
    opening = stage([])
    assert (opening.verdict, len(opening.problems)) == ("grade", 8)
    second = stage([1.0] * 8)
    assert second.verdict == "grade"
    assert len(second.problems) == 8
    assert min(second.problems) >= 8
    assert len(stage([1.0] * 16).problems) == 4


def test_a_child_that_fails_what_the_incumbent_solves_is_out() -> None:
    assert stage([0.0] * 8) == Stage("out")


def test_a_child_that_leads_is_graded_on_everything() -> None:
    assert stage([1.0] * 20) == Stage("graded")
    assert stage([1.0] * 19).problems == (19,)
