"""``experience.sampling``: what each rule promises, for anything with a score and a surprise."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aflow_verl.config import Sampling
from aflow_verl.errors import RecipeError
from aflow_verl.search.sampling import SAMPLERS, SURPRISE_FLOOR, sample


@dataclass(frozen=True)
class Item:
    number: int
    after: float | None
    surprise: float | None


def items(pairs: list[tuple[float | None, float | None]]) -> list[Item]:
    return [Item(number, after, surprise) for number, (after, surprise) in enumerate(pairs)]


unit = st.none() | st.floats(0, 1)
some = st.lists(st.tuples(unit, unit), max_size=20).map(items)


@given(st.sampled_from(sorted(SAMPLERS)), some, st.integers(0, 25), st.integers(0, 2**32))
def test_different_items_as_many_as_asked_for_the_same_for_a_seed(
    how: str, pool: list[Item], size: int, seed: int
) -> None:
    drawn = sample(how, pool, size, np.random.default_rng(seed))
    assert len(drawn) == min(size, len(pool))
    assert len(set(drawn)) == len(drawn)
    assert set(drawn) <= set(pool)
    assert drawn == sample(how, pool, size, np.random.default_rng(seed))


@given(some, st.integers(0, 25))
def test_best_and_recent_leave_nothing_better_and_nothing_newer(pool: list[Item], size: int) -> None:
    rng = np.random.default_rng(0)
    best = sample("best", pool, size, rng)
    scores = [-1.0 if item.after is None else item.after for item in pool]
    assert [scores[item.number] for item in best] == sorted(scores, reverse=True)[:size]
    assert [item.number for item in sample("recent", pool, size, rng)] == list(range(len(pool)))[::-1][:size]


def test_each_record_alike_or_in_proportion_to_its_surprise() -> None:
    pool = items([(None, 0.0), (0.5, 0.3), (0.1, None)])  # the average, 0.15, stands in for the third
    rng = np.random.default_rng(0)
    for how, weights in {"uniform": [1, 1, 1], "surprising": [0, 0.3, 0.15]}.items():
        drawn = [sample(how, pool, 1, rng)[0].number for _ in range(2000)]
        expected = np.array(weights) + SURPRISE_FLOOR
        shares = np.bincount(drawn, minlength=3) / 2000
        assert shares == pytest.approx(expected / expected.sum(), abs=0.04)


def test_the_recipe_knows_the_same_rules() -> None:
    assert set(SAMPLERS) == set(Sampling.__args__)  # type: ignore[attr-defined]
    with pytest.raises(RecipeError, match="'worst' is not one of uniform, best, recent, surprising"):
        sample("worst", [], 1, np.random.default_rng(0))
