"""Rewards and returns, by hand."""

import pytest

from aflow_verl.env.reward import episode_return, step_reward, tree_returns
from aflow_verl.types import Evaluation, Grade


def _evaluation(**scores: float) -> Evaluation:
    return Evaluation(tuple(Grade(name, score) for name, score in scores.items()))


def test_step_reward_is_paired() -> None:
    assert step_reward(_evaluation(a=1, b=0, c=1), _evaluation(a=0, b=0, c=1)) == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="same problems"):
        step_reward(_evaluation(a=1), _evaluation(b=1))


def test_tree_returns() -> None:
    # 0 made the state of 1 and of 2; 1 made the state of 3
    rewards, parents = [0.1, 0.2, -0.5, 0.4], [-1, 0, 0, 1]
    y3, y2 = 0.4, -0.5
    y1 = 0.2 + 0.5 * y3
    y0 = 0.1 + 0.5 * max(0.0, y1, y2)
    assert tree_returns(rewards, parents, 0.5) == pytest.approx([y0, y1, y2, y3])
    assert tree_returns([0.1, -0.3], [-1, 0], 0.5) == pytest.approx([0.1, -0.3])  # a loss further down costs nothing
    assert tree_returns([], [], 0.5) == []


def test_episode_return() -> None:
    assert episode_return(0.7, 0.5, 0, 0.1) == pytest.approx(0.2)
    assert episode_return(0.4, 0.5, 2, 0.1) == pytest.approx(-0.2)
