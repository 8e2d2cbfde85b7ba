"""verl's adapter: rows aligned by key, padding by tag, the registered estimator equal to the pure one."""

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from trainer.advantage import advantage_context, gigpo_estimator, step_rows
from trainer.gigpo import gigpo_advantage

FIELDS = {"episode_return": 0.5, "parent_step": -1}


def _row(reward: float, anchor: str, parent: int = -1, episode_return: float = 0.5) -> dict[str, object]:
    return {"step_reward": reward, "anchor": anchor, "parent_step": parent, "episode_return": episode_return}


KEYS = ["u_0_1", "pad9_0_0", "u_1_0", "u_0_0", "u_1_1"]
TAGS = [{}, {"is_padding": True}, {}, {}, {}]
EXTRA = [
    _row(0.2, "s1", parent=0, episode_return=0.3),
    _row(9.0, "s0"),  # a copy of a real row's fields, as verl makes them
    _row(0.0, "s0", episode_return=0.4),
    _row(0.1, "s0", episode_return=0.3),
    _row(0.4, "s0", episode_return=0.4),
]


def test_rows_are_aligned_by_key_and_padding_by_tag() -> None:
    rows = step_rows(KEYS, TAGS, EXTRA)
    assert rows.padding_B.tolist() == [False, True, False, False, False]
    assert rows.step_B.tolist() == [1, 0, 0, 0, 1]
    assert rows.trajectory_B[0] == rows.trajectory_B[3] != rows.trajectory_B[2] == rows.trajectory_B[4]
    assert len({rows.group_B[i] for i in (0, 2, 3, 4)}) == 1
    assert rows.anchor_B[2] == rows.anchor_B[3] == rows.anchor_B[4] != rows.anchor_B[0]
    assert rows.parent_step_B.tolist() == [0, -1, -1, -1, -1]


def test_a_row_of_another_agent_loop_is_refused() -> None:
    with pytest.raises(ValueError, match="'aflow' agent loop"):
        step_rows(["u_0_0"], [{}], [{}])


@pytest.mark.parametrize("returns", ["tree", "time"])
def test_the_registered_estimator_is_the_pure_one(returns: str) -> None:
    rows = step_rows(KEYS, TAGS, EXTRA)
    mask = torch.tensor([[1, 1], [0, 0], [1, 1], [1, 1], [1, 0]])
    config = OmegaConf.create({"gamma": 0.9, "gigpo": {"omega": 0.5, "norm": "mean_norm"}})
    with advantage_context(rows, returns) as context:
        advantages, targets = gigpo_estimator(torch.zeros(5, 2), mask, config=config, index=np.array(["x"] * 5))
    expected = gigpo_advantage(
        rows.step_rewards_B,
        rows.group_B,
        rows.trajectory_B,
        rows.step_B,
        rows.anchor_B,
        mask,
        parent_step_B=rows.parent_step_B if returns == "tree" else None,
        episode_returns_B=rows.episode_returns_B,
        padding_B=rows.padding_B,
        gamma=0.9,
        omega=0.5,
    )
    assert torch.equal(advantages, expected[0])
    assert torch.equal(targets, expected[1])
    assert context.result is not None
    # u_0: r = .1 at t=0, .2 at t=1 on the child made at 0 -> y_0 = .1 + .9 * .2 (both readings)
    assert float(targets[3, 0]) == pytest.approx(0.28)
    # u_1: t=1 edits s0 again, not the child made at 0 -> tree y_0 = 0, time y_0 = .9 * .4
    assert float(targets[2, 0]) == pytest.approx(0.0 if returns == "tree" else 0.36)
    assert targets[1].tolist() == [0.0, 0.0]
    assert advantages[1].tolist() == [0.0, 0.0]


def test_called_by_verl_alone_it_says_what_is_missing() -> None:
    with pytest.raises(RuntimeError, match="trainer_mode=aflow_sync"):
        gigpo_estimator(torch.zeros(1, 1), torch.ones(1, 1), config=OmegaConf.create({"gamma": 1.0}))
