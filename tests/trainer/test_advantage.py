"""verl's adapter: rows aligned by key, padding by tag, the registered estimator equal to the pure one."""

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from aflow_verl.search.targets import RowTarget
from trainer.advantage import advantage_context, gigpo_estimator, step_rows


def _row(reward: float, anchor: str, episode_return: float = 0.5) -> dict[str, object]:
    return {"step_reward": reward, "anchor": anchor, "episode_return": episode_return}


KEYS = ["u_0_1", "pad9_0_0", "u_1_0", "u_0_0", "u_1_1"]
TAGS = [{}, {"is_padding": True}, {}, {}, {}]
EXTRA = [
    _row(0.2, "s1", episode_return=0.3),
    _row(9.0, "s0"),  # a copy of a real row's fields, as verl makes them
    _row(0.0, "s0", episode_return=0.4),
    _row(0.1, "s0", episode_return=0.3),
    _row(-0.1, "s0", episode_return=0.4),
]
TARGETS = {
    ("u", 0, 0): RowTarget(0.5, q=0.4, v=0.3, invalid=False, neutral=False),
    ("u", 0, 1): RowTarget(0.2, q=0.1, v=0.2, invalid=False, neutral=True),
    ("u", 1, 0): RowTarget(0.1, q=-0.2, v=0.3, invalid=False, neutral=False),
    ("u", 1, 1): RowTarget(-0.1, q=-0.4, v=0.3, invalid=True, neutral=False),
}


def test_rows_are_aligned_by_key_and_padding_by_tag() -> None:
    rows = step_rows(KEYS, TAGS, EXTRA, TARGETS)
    assert rows.padding_B.tolist() == [False, True, False, False, False]
    assert rows.step_B.tolist() == [1, 0, 0, 0, 1]
    assert rows.trajectory_B[0] == rows.trajectory_B[3] != rows.trajectory_B[2] == rows.trajectory_B[4]
    assert len({rows.group_B[i] for i in (0, 2, 3, 4)}) == 1
    assert rows.anchor_B[2] == rows.anchor_B[3] == rows.anchor_B[4] != rows.anchor_B[0]
    assert [target.step_return for target in rows.targets_B] == [0.2, 0.0, 0.1, 0.5, -0.1]


def test_a_row_of_another_agent_loop_is_refused() -> None:
    with pytest.raises(ValueError, match="'aflow' agent loop"):
        step_rows(["u_0_0"], [{}], [{}], TARGETS)


def test_a_row_that_was_not_merged_is_refused() -> None:
    with pytest.raises(ValueError, match="u_7_0 is no part of the merged step"):
        step_rows(["u_7_0"], [{}], [_row(0.1, "s0")], TARGETS)


@pytest.mark.parametrize(
    ("returns", "advantages"),
    [
        # Episode returns .3 and .4: A^E = -.05, +.05. Step group s0: valid .5 and .1, mean .3 -> +.2, -.2, invalid -.4.
        ("tree", {3: -0.05 + 0.2, 2: 0.05 - 0.2, 4: 0.05 - 0.4}),
        # R_0 = .1 + .9 * .2 = .28 and 0 + .9 * -.1 = -.09, mean .095 -> +-.185, invalid -.1 - .095.
        ("time", {3: -0.05 + 0.185, 2: 0.05 - 0.185, 4: 0.05 - 0.195}),
    ],
)
def test_advantages_are_the_pure_estimators_and_targets_the_trees(returns: str, advantages: dict[int, float]) -> None:
    rows = step_rows(KEYS, TAGS, EXTRA, TARGETS)
    mask = torch.tensor([[1, 1, 1], [0, 0, 0], [1, 1, 0], [1, 1, 0], [1, 0, 0]])
    config = OmegaConf.create({"gamma": 0.9, "gigpo": {"omega": 1.0, "norm": "mean_norm"}})
    with advantage_context(rows, returns) as context:
        found, targets = gigpo_estimator(torch.zeros(5, 3), mask, config=config, index=np.array(["x"] * 5))
    assert context.result is not None
    assert found[0].tolist() == [0.0, 0.0, 0.0], "it stopped"
    assert found[1].tolist() == [0.0, 0.0, 0.0], "padding"
    for row, advantage in advantages.items():
        assert found[row].tolist() == pytest.approx((advantage * mask[row]).tolist())
    assert targets.tolist() == [
        pytest.approx([0.2, 0.1, 0.1]),
        [0.0, 0.0, 0.0],
        pytest.approx([0.3, -0.2, 0.0]),
        pytest.approx([0.3, 0.4, 0.0]),
        pytest.approx([0.3, 0.0, 0.0]),
    ]


def test_called_by_verl_alone_it_says_what_is_missing() -> None:
    with pytest.raises(RuntimeError, match="trainer_mode=aflow_sync"):
        gigpo_estimator(torch.zeros(1, 1), torch.ones(1, 1), config=OmegaConf.create({"gamma": 1.0}))
