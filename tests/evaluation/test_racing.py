"""The sequential test: by hand, its symmetries, and its error rate when one looks again and again."""

import math
from collections.abc import Callable
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from aflow_verl.evaluation.racing import MARGIN_STAKES, STAKES, log_wealth, verdict

Differences = NDArray[np.float64]
RACES = 200
ERROR_RATE = 0.1
"""Higher than the default, so that a test which were wrong too often would be seen to be."""

paired = st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]), max_size=60)


def test_wealth_by_hand() -> None:
    half = np.array([0.5])
    assert log_wealth(np.array([1.0, 1.0, -1.0]), 0.0, half) == pytest.approx(math.log(1.5 * 1.5 * 0.5))
    assert log_wealth(np.array([1.0]), -0.2, half) == pytest.approx(math.log(1.6))
    assert log_wealth(np.array([1.0]), 0.0, np.array([0.2, 0.6])) == pytest.approx(math.log((1.2 + 1.6) / 2))
    assert log_wealth(np.array([]), 0.0, STAKES) == pytest.approx(0.0)


def test_nine_wins_in_a_row_are_clear_and_eight_are_not() -> None:
    wealth = [sum((1 + stake) ** n for stake in STAKES) / len(STAKES) for n in (8, 9)]
    assert wealth[0] < 2 / 0.05 <= wealth[1]
    assert verdict([1.0] * 8, 0.05, 0.0) is None
    assert verdict([1.0] * 9, 0.05, 0.0) == "better"
    assert verdict([-1.0] * 9, 0.05, 0.0) == "worse"


def test_problems_on_which_both_agree_make_a_race_close_only_where_there_is_a_margin() -> None:
    assert verdict([0.0] * 2000, 0.05, 0.0) is None
    needed = next(n for n in range(1, 2000) if verdict([0.0] * n, 0.05, 0.05) == "close")
    assert log_wealth(np.zeros(needed), -0.05, MARGIN_STAKES) >= math.log(40)
    assert log_wealth(np.zeros(needed - 1), -0.05, MARGIN_STAKES) < math.log(40)
    assert verdict([0.0] * needed, 0.05, 0.1) == "close"


@given(paired, st.sampled_from([0.0, 0.05, 0.2]), st.randoms())
@settings(max_examples=50, deadline=None)
def test_sides_are_alike_and_the_order_does_not_matter(
    differences: list[float],
    margin: float,
    shuffler: Random,
) -> None:
    mirrored = {"better": "worse", "worse": "better", "close": "close", None: None}
    found = verdict(differences, 0.05, margin)
    assert verdict([-d for d in differences], 0.05, margin) == mirrored[found]
    shuffled = list(differences)
    shuffler.shuffle(shuffled)
    assert verdict(shuffled, 0.05, margin) == found


@given(paired)
@settings(max_examples=50, deadline=None)
def test_a_smaller_error_rate_is_never_quicker(differences: list[float]) -> None:
    if verdict(differences, 0.01, 0.0) is not None:
        assert verdict(differences, 0.01, 0.0) == verdict(differences, 0.2, 0.0)


def ends(differences: Differences, margin: float) -> tuple[str | None, float]:
    """(verdict, gain) where one looks after every sixth problem and stops as soon as it is clear."""
    for n in range(6, len(differences) + 1, 6):
        if (found := verdict(differences[:n], ERROR_RATE, margin)) is not None:
            return found, float(differences[:n].mean())
    return None, float(differences.mean())


def coin_flips(rng: np.random.Generator, gap: float) -> Differences:
    """Fresh problems; the child solves more of them by ``gap``."""
    return (rng.random(160) < 0.5 + gap).astype(float) - (rng.random(160) < 0.5)


def rare_gains(rng: np.random.Generator, gap: float) -> Differences:
    """The child loses a little nearly everywhere and gains much in few places."""
    return np.where(rng.random(160) < 0.1, 0.9, -0.1 + gap / 0.9)


def few_problems_again(rng: np.random.Generator, gap: float) -> Differences:
    """The same 33 problems five times, with chances of both that have the same mean but for ``gap``."""
    parent, child = rng.beta(0.5, 0.5, (2, 33))
    child = np.clip(child + (parent.mean() + gap - child.mean()), 0.0, 1.0)
    parent = np.clip(parent + (child.mean() - gap - parent.mean()), 0.0, 1.0)
    order = np.concatenate([rng.permutation(33) for _ in range(5)])
    return (rng.random(165) < child[order]).astype(float) - (rng.random(165) < parent[order])


@pytest.mark.parametrize("draw", [coin_flips, rare_gains, few_problems_again])
def test_equal_workflows_are_rarely_told_apart(draw: Callable[[np.random.Generator, float], Differences]) -> None:
    rng = np.random.default_rng(0)
    found = [ends(draw(rng, 0.0), 0.0)[0] for _ in range(RACES)]
    assert sum(name is not None for name in found) <= ERROR_RATE * RACES


@pytest.mark.parametrize("draw", [coin_flips, rare_gains, few_problems_again])
def test_one_that_is_worse_by_the_margin_rarely_ends_in_front(
    draw: Callable[[np.random.Generator, float], Differences],
) -> None:
    rng = np.random.default_rng(1)
    found = [ends(draw(rng, -0.1), 0.1) for _ in range(RACES)]
    assert sum(name is not None and gain > 0 for name, gain in found) <= ERROR_RATE * RACES
    assert sum(name is not None for name, _ in found) > RACES / 4  # many ended early all the same


def test_a_large_gap_is_clear_soon() -> None:
    rng = np.random.default_rng(2)
    assert [ends(coin_flips(rng, 0.4), 0.0)[0] for _ in range(50)] == ["better"] * 50
