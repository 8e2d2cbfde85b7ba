"""Rasch's model: estimates against a pencil, recovery of a known truth, what missing grades do."""

from __future__ import annotations

import numpy as np
import pytest

from aflow_verl.evaluation.difficulty import EASE_G, Grades, fit, posterior, separation


def graded(rows: list[list[float]]) -> Grades:
    return Grades.of({str(n): {str(p): x for p, x in enumerate(row)} for n, row in enumerate(rows)}, list("0123456789"))


def test_grades_keep_the_order_and_leave_out_other_problems() -> None:
    grades = Grades.of({"a": {"p": 1.0, "elsewhere": 1.0}, "b": {"q": 0.5}}, ["q", "p"])
    assert grades.count_NP.tolist() == [[0, 1], [1, 0]]
    assert grades.total_NP.tolist() == [[0.0, 1.0], [0.5, 0.0]]


def test_without_grades_all_is_even() -> None:
    fitted = fit(Grades.of({"a": {}, "b": {}}, ["p", "q"]))
    assert fitted.ability_N.tolist() == [0.0, 0.0]
    assert fitted.ease_PG == pytest.approx(np.full((2, 13), 1 / 13))
    # The grid is symmetric about 0, so each cell is predicted at one half.
    known = posterior(Grades.of({"a": {}, "b": {}}, ["p", "q"]), fitted)
    assert known.mean_N == pytest.approx([0.5, 0.5])


def test_one_sweep_by_hand() -> None:
    """Two workflows, one problem, one solves it: at equal abilities the ease is symmetric, so both steps are equal."""
    grades = Grades.of({"a": {"p": 1.0}, "b": {"p": 0.0}}, ["p"])
    solve_G = 1 / (1 + np.exp(-EASE_G))
    ease_G = solve_G * (1 - solve_G) / (solve_G * (1 - solve_G)).sum()
    curvature = (ease_G * solve_G * (1 - solve_G)).sum() + 1.5  # (2 + 1) / 2 at ability 0
    fitted = fit(grades, sweeps=1)
    assert fitted.ability_N == pytest.approx([0.5 / curvature, -0.5 / curvature])
    assert fitted.ease_PG[0] == pytest.approx(ease_G)
    assert fitted.prior_G == pytest.approx((ease_G + 1 / 13) / 2)


def test_a_workflow_that_is_graded_on_everything_is_known() -> None:
    grades = graded([[1.0, 0.0, 1.0, 0.5] + [1.0] * 6, [1.0, 0.0]])
    known = posterior(grades, fit(grades))
    assert known.mean_N[0] == pytest.approx(0.85)
    assert known.sd_N[0] == 0.0
    assert known.sd_N[1] > 0.05


def test_hard_problems_are_not_held_against_a_workflow() -> None:
    """The last one was graded on the two problems that nobody solves; the one before on two that all others solve."""
    strong = [[1.0] * 8 + [0.0, 0.0] for _ in range(4)]
    nan = float("nan")
    rows = [*strong, [1.0, 0.0] + [nan] * 8, [nan] * 8 + [0.0, 0.0]]
    table = {str(n): {str(p): x for p, x in enumerate(row) if x == x} for n, row in enumerate(rows)}
    grades = Grades.of(table, list("0123456789"))
    known = posterior(grades, fit(grades))
    assert known.mean_N[5] > known.mean_N[4] + 0.05
    assert known.mean_N[5] > 0.7


def test_the_posterior_is_honest_about_the_cells_it_did_not_see() -> None:
    """A third of the cells is seen; the errors of the whole table's means are as large as the sd says."""
    rng = np.random.default_rng(0)
    errors, means, truths = [], [], []
    for _ in range(20):
        ease = rng.choice([-3.0, 0.0, 3.0], size=90, p=[0.1, 0.3, 0.6])
        chance = 1 / (1 + np.exp(-(np.linspace(-1, 1, 12)[:, None] + ease)))
        scores = (rng.random(chance.shape) < chance).astype(float)
        count = (rng.random(chance.shape) < 0.33).astype(int)
        grades = Grades(count, scores * count)
        known = posterior(grades, fit(grades))
        errors.append((known.mean_N - scores.mean(axis=1)) / known.sd_N)
        means.append(known.mean_N)
        truths.append(scores.mean(axis=1))
    assert 0.85 < np.std(errors) < 1.15
    assert abs(np.mean(errors)) < 0.2
    assert np.corrcoef(np.ravel(means), np.ravel(truths))[0, 1] > 0.75


def test_a_crashed_workflow_pulls_at_nobody() -> None:
    rows = [[1.0] * 9 + [0.0], [1.0] * 8 + [0.0] * 2, [1.0] * 9 + [0.0]]
    without, crashed = graded(rows), graded([*rows, [0.0] * 10])
    before, after = fit(without), fit(crashed, sweeps=30)
    assert after.ability_N[3] < -4
    gap_before, gap_after = (x.ability_N[0] - x.ability_N[1] for x in (before, after))
    assert gap_after == pytest.approx(gap_before, abs=0.3)


def test_separation_is_highest_where_workflows_differ() -> None:
    grades = graded([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]] * 3)
    worth = separation(fit(grades), np.arange(6))
    assert worth[1] > 0.15 > 0.1 > max(worth[0], worth[2])
    assert worth[3] == pytest.approx(worth[9])  # unseen ones are equal
