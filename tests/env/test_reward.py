"""Rewards by hand."""

import pytest

from aflow_verl.env.reward import episode_return, step_reward
from aflow_verl.types import Evaluation, Grade


def _evaluation(**scores: float) -> Evaluation:
    return Evaluation(tuple(Grade(name, score) for name, score in scores.items()))


START = _evaluation(a=0, b=0, c=1, d=1)
BETTER = _evaluation(a=1, b=0, c=1, d=1)
WORSE = _evaluation(a=0, b=0, c=0, d=1)


def test_a_step_reward_is_paired() -> None:
    assert step_reward(BETTER, START, {}) == pytest.approx(1 / 4)
    assert step_reward(WORSE, BETTER, {}) == pytest.approx(-2 / 4)
    assert step_reward(START, START, {}) == 0.0
    assert step_reward(_evaluation(), _evaluation(), {}) == 0.0
    for other in (_evaluation(a=1), _evaluation(a=1, b=0, d=1, c=1)):
        with pytest.raises(ValueError):  # noqa: PT011  # of zip or ours
            step_reward(other, START, {})
    with pytest.raises(ValueError, match="same problems"):
        step_reward(_evaluation(a=1, b=0, d=1, c=1), START, {})


def test_problems_weigh_as_they_were_drawn() -> None:
    weights = {"a": 0.5, "c": 2.0}
    assert step_reward(BETTER, START, weights) == pytest.approx(0.5 / 4)
    assert step_reward(WORSE, START, weights) == pytest.approx(-2.0 / 4)
    assert step_reward(_evaluation(a=0, b=1, c=1, d=1), START, weights) == pytest.approx(1 / 4), "1 where none is given"


def test_an_episode_is_worth_the_best_that_it_made() -> None:
    assert episode_return([WORSE, BETTER], START, {}) == pytest.approx(1 / 4)
    assert episode_return([WORSE], START, {}) == 0.0
    assert episode_return([], START, {}) == 0.0
    assert episode_return([START, START], START, {}) == 0.0, "grading the start again brings nothing"
    assert episode_return([BETTER], START, {"a": 0.5}) == pytest.approx(0.5 / 4)
