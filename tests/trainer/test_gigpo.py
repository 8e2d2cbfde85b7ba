"""The estimator's decisions, one by one, on numbers that can be checked with a pencil."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from trainer.gigpo import gigpo, gigpo_advantage, gigpo_statistics

# Two trajectories of one group, two steps each. Both start in state 1, then they part.
#   trajectory 10: r = 0.2, 0.4    R(tau) = 0.6    gamma 0.5: R_1 = 0.4, R_0 = 0.2 + 0.5 * 0.4 = 0.4
#   trajectory 11: r = 0.0, 0.2    R(tau) = 0.2               R_1 = 0.2, R_0 = 0.0 + 0.5 * 0.2 = 0.1
# A^E: mean 0.4 -> +0.2, -0.2.  A^S in state 1: mean 0.25 -> +0.15, -0.15; states 2 and 3 are alone -> 0 (paper).
PAIR: dict[str, Any] = {
    "step_rewards_B": [0.2, 0.4, 0.0, 0.2],
    "group_B": [0, 0, 0, 0],
    "trajectory_B": [10, 10, 11, 11],
    "step_B": [0, 1, 0, 1],
    "anchor_B": [1, 2, 1, 3],
    "response_mask_BT": torch.ones(4, 1),
    "gamma": 0.5,
    "singletons": "zero",
}
PAIR_RETURNS = [0.4, 0.4, 0.1, 0.2]
PAIR_ADVANTAGES = [0.35, 0.2, -0.35, -0.2]


def columns(**arguments: Any) -> tuple[list[float], list[float]]:
    """Advantage and return on the first token of each row."""
    advantages_BT, returns_BT = gigpo_advantage(**arguments)
    return advantages_BT[:, 0].tolist(), returns_BT[:, 0].tolist()


def one_trajectory(rewards: list[float], **arguments: Any) -> list[float]:
    """Step returns of a lone trajectory, gamma 0.5."""
    count = len(rewards)
    ids = {"group_B": [0] * count, "trajectory_B": [0] * count, "anchor_B": [0] * count}
    call = {**ids, "step_B": list(range(count)), "response_mask_BT": torch.ones(count, 1), "gamma": 0.5, **arguments}
    return columns(step_rewards_B=rewards, **call)[1]


def test_mean_norm() -> None:
    advantages, returns = columns(**PAIR)
    assert advantages == pytest.approx(PAIR_ADVANTAGES)
    assert returns == pytest.approx(PAIR_RETURNS)


def test_mean_std_norm_divides_by_the_unbiased_deviation() -> None:
    # Two values at +-d from their mean have the deviation sqrt(2 d^2 / 1) = 1.41421 d: each advantage is +-0.70711.
    advantages, returns = columns(**PAIR, norm="mean_std_norm")
    assert advantages == pytest.approx([1.41421, 0.70711, -1.41421, -0.70711], abs=2e-5)
    assert returns == pytest.approx(PAIR_RETURNS)


def test_omega_weighs_the_step_advantage() -> None:
    assert columns(**PAIR, omega=2.0)[0] == pytest.approx([0.5, 0.2, -0.5, -0.2])


def test_omega_zero_is_grpo_on_episodes() -> None:
    assert columns(**PAIR, omega=0.0)[0] == pytest.approx([0.2, 0.2, -0.2, -0.2])


def test_gamma_defaults_to_095() -> None:
    pair = {name: value for name, value in PAIR.items() if name != "gamma"}
    assert columns(**pair)[1] == pytest.approx([0.2 + 0.95 * 0.4, 0.4, 0.95 * 0.2, 0.2])


@pytest.mark.parametrize("norm", ["mean_norm", "mean_std_norm"])
@pytest.mark.parametrize("episode_mean", ["trajectories", "rows"])
def test_group_of_one_has_no_advantage(norm: Any, episode_mean: Any) -> None:
    # One trajectory of three steps in a group of its own: published code would give A^E = 1.1.
    lone = {"group_B": [0] * 3, "trajectory_B": [0] * 3, "step_B": [0, 1, 2], "anchor_B": [5, 6, 7]}
    mask = torch.ones(3, 1)
    advantages, returns = columns(
        step_rewards_B=[0.1, 0.3, 0.7],
        **lone,
        response_mask_BT=mask,
        norm=norm,
        episode_mean=episode_mean,
        gamma=0.5,
        singletons="zero",
    )
    assert advantages == pytest.approx([0.0, 0.0, 0.0], abs=1e-9)
    assert returns == pytest.approx([0.425, 0.65, 0.7])


def test_equal_returns_have_no_advantage_even_if_divided_by_their_deviation() -> None:
    # 0.1 + 0.2 and 0.3 differ by 5.6e-17 in binary: nothing that 1 / 1e-6 may blow up.
    advantages, _ = columns(
        step_rewards_B=[0.1, 0.2, 0.3],
        group_B=[0, 0, 0],
        trajectory_B=[0, 0, 1],
        step_B=[0, 1, 0],
        anchor_B=[1, 2, 3],
        response_mask_BT=torch.ones(3, 1),
        norm="mean_std_norm",
        singletons="zero",
    )
    assert advantages == pytest.approx([0.0, 0.0, 0.0], abs=1e-9)


def test_returns_are_step_returns_on_response_tokens_only() -> None:
    mask_BT = torch.tensor([[1, 1, 0], [1, 0, 0], [0, 1, 1], [0, 0, 0]])
    advantages_BT, returns_BT = gigpo_advantage(**{**PAIR, "response_mask_BT": mask_BT})
    assert returns_BT.tolist() == pytest.approx(np.array([[0.4, 0.4, 0], [0.4, 0, 0], [0, 0.1, 0.1], [0, 0, 0]]))
    expected = np.array([[0.35, 0.35, 0], [0.2, 0, 0], [0, -0.35, -0.35], [0, 0, 0]])
    assert advantages_BT.tolist() == pytest.approx(expected)
    assert advantages_BT.dtype == returns_BT.dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.float32, torch.bfloat16])
def test_mask_of_any_type(dtype: torch.dtype) -> None:
    pair = {**PAIR, "response_mask_BT": PAIR["response_mask_BT"].to(dtype)}
    assert columns(**pair)[0] == pytest.approx(PAIR_ADVANTAGES)


def test_time_is_the_step_index_not_the_order_of_rows() -> None:
    order = [3, 0, 2, 1]
    shuffled = {name: [PAIR[name][i] for i in order] for name in PAIR if name.endswith("_B")}
    advantages, returns = columns(**{**PAIR, **shuffled})
    assert advantages == pytest.approx([PAIR_ADVANTAGES[i] for i in order])
    assert returns == pytest.approx([PAIR_RETURNS[i] for i in order])


def test_a_gap_between_step_indices_is_discounted_as_time() -> None:
    # 1 + 0.5^3 * 2
    assert one_trajectory([1.0, 2.0], step_B=[2, 5]) == pytest.approx([1.25, 2.0])


def test_copies_count_once_and_share_their_advantage() -> None:
    # Row 0 twice more. Counted thrice, the mean in state 1 would be 0.325 and A^S of row 0 only 0.075.
    copied = {name: [*PAIR[name], PAIR[name][0], PAIR[name][0]] for name in PAIR if name.endswith("_B")}
    advantages, returns = columns(**{**PAIR, **copied, "response_mask_BT": torch.ones(6, 1)})
    assert advantages == pytest.approx([*PAIR_ADVANTAGES, 0.35, 0.35])
    assert returns == pytest.approx([*PAIR_RETURNS, 0.4, 0.4])


def test_padding_rows_get_zero_and_count_nowhere() -> None:
    # A copy of row 0, and a row of nonsense that would not pass the checks if it were real.
    nonsense = {"step_rewards_B": np.nan, "group_B": 9, "trajectory_B": 10, "step_B": -3, "anchor_B": 1}
    padded = {name: [*PAIR[name], PAIR[name][0], nonsense[name]] for name in nonsense}
    call = {**PAIR, **padded, "response_mask_BT": torch.ones(6, 1), "padding_B": [False] * 4 + [True] * 2}
    advantages, returns = columns(**call)
    assert advantages == pytest.approx([*PAIR_ADVANTAGES, 0.0, 0.0])
    assert returns == pytest.approx([*PAIR_RETURNS, 0.0, 0.0])


def test_episode_mean_is_over_trajectories_unless_rows_are_asked_for() -> None:
    # R(tau) = 0.9 over three steps, and 0.1 over one.
    # Trajectories: mean 0.5 -> +0.4, -0.4.   Rows: mean (3 * 0.9 + 0.1) / 4 = 0.7 -> +0.2, -0.6.
    # Rows, deviation: sqrt((3 * 0.04 + 0.36) / 3) = 0.4 -> +0.5, -1.5.
    uneven: dict[str, Any] = {
        "step_rewards_B": [0.3, 0.3, 0.3, 0.1],
        "group_B": [0, 0, 0, 0],
        "trajectory_B": [0, 0, 0, 1],
        "step_B": [0, 1, 2, 0],
        "anchor_B": [1, 2, 3, 4],
        "singletons": "zero",
        "response_mask_BT": torch.ones(4, 1),
    }
    assert columns(**uneven)[0] == pytest.approx([0.4, 0.4, 0.4, -0.4])
    assert columns(**uneven, episode_mean="rows")[0] == pytest.approx([0.2, 0.2, 0.2, -0.6])
    by_deviation = columns(**uneven, episode_mean="rows", norm="mean_std_norm")[0]
    assert by_deviation == pytest.approx([0.5, 0.5, 0.5, -1.5], abs=1e-5)


def test_one_anchor_in_two_groups_is_two_step_groups() -> None:
    # Trajectories 10 and 11 now lie in groups of their own: nothing is left to compare.
    assert columns(**{**PAIR, "group_B": [0, 0, 1, 1]})[0] == pytest.approx([0.0] * 4)


def test_trajectory_ids_are_unique_within_their_group_only() -> None:
    # PAIR twice, in groups 0 and 1, under the same trajectory ids: each group is estimated as if it were alone.
    twice = {name: [*PAIR[name], *PAIR[name]] for name in PAIR if name.endswith("_B")}
    call = {**PAIR, **twice, "group_B": [0] * 4 + [1] * 4, "response_mask_BT": torch.ones(8, 1)}
    advantages, returns = columns(**call)
    assert advantages == pytest.approx(PAIR_ADVANTAGES * 2)
    assert returns == pytest.approx(PAIR_RETURNS * 2)
    with_parents = columns(**call, parent_step_B=[-1, 0, -1, 0] * 2)
    assert with_parents[1] == pytest.approx(PAIR_RETURNS * 2)


def test_one_id_in_two_groups_is_two_trajectories() -> None:
    # Step 1 of trajectory 11 in a group of its own: R_0 of the other part has no later step. Group 0: 0.6 and 0.0.
    advantages, returns = columns(**{**PAIR, "group_B": [0, 0, 0, 1]})
    assert returns == pytest.approx([0.4, 0.4, 0.0, 0.2])
    assert advantages == pytest.approx([0.3 + 0.2, 0.3, -0.3 - 0.2, 0.0])


def test_one_state_at_two_steps_of_a_trajectory_is_one_step_group() -> None:
    # All four steps in one state: mean of 0.4, 0.4, 0.1, 0.2 is 0.275.
    advantages, _ = columns(**{**PAIR, "anchor_B": [1, 1, 1, 1]})
    assert advantages == pytest.approx([0.2 + 0.125, 0.2 + 0.125, -0.2 - 0.175, -0.2 - 0.075])


def test_ids_are_any_64_bit_integers_in_any_container() -> None:
    ids = {
        "group_B": np.array([-(2**63)] * 4),
        "trajectory_B": torch.tensor([2**62, 2**62, -7, -7]),
        "anchor_B": np.array([2**64 - 1, 2**63, 2**64 - 1, 5], dtype=np.uint64),
        "step_B": np.array([0, 1, 0, 1], dtype=object),
        "step_rewards_B": torch.tensor(PAIR["step_rewards_B"]),
    }
    assert columns(**{**PAIR, **ids})[0] == pytest.approx(PAIR_ADVANTAGES)


def test_callers_episode_return_replaces_the_sum_of_rewards() -> None:
    # Mean of 1.0 and 0.0 is 0.5.
    advantages, returns = columns(**PAIR, episode_returns_B=[1.0, 1.0, 0.0, 0.0])
    assert advantages == pytest.approx([0.5 + 0.15, 0.5, -0.5 - 0.15, -0.5])
    assert returns == pytest.approx(PAIR_RETURNS)


def test_penalty_is_discounted_with_its_step() -> None:
    # R_0 = 0.4 + 0.5 * (-0.1)
    assert one_trajectory([0.4, -0.1]) == pytest.approx([0.35, -0.1])


def test_tree_return_follows_edges_and_takes_the_best_child() -> None:
    # 0 -> {1 -> {3}, 2}: y_3 = -0.3; y_1 = 0.4 + 0.5 max(0, -0.3) = 0.4; y_2 = 0.2; y_0 = 0.1 + 0.5 max(0, 0.4, 0.2)
    rewards = [0.1, 0.4, 0.2, -0.3]
    assert one_trajectory(rewards, parent_step_B=[-1, 0, 0, 1]) == pytest.approx([0.3, 0.4, 0.2, -0.3])
    # By time the same rewards give 0.1 + 0.5 (0.4 + 0.5 (0.2 - 0.15)) = 0.3125.
    assert one_trajectory(rewards) == pytest.approx([0.3125, 0.425, 0.05, -0.3])


def test_tree_return_of_edits_to_older_states_is_their_own_reward() -> None:
    assert one_trajectory([0.1, 0.4, 0.2], parent_step_B=[-1, -1, -1]) == pytest.approx([0.1, 0.4, 0.2])


def test_tree_return_discounts_edges_not_time() -> None:
    # Step 4 edits what step 0 made: one edge, 0.1 + 0.5 * 0.8.
    assert one_trajectory([0.1, 0.8], step_B=[0, 4], parent_step_B=[-1, 0]) == pytest.approx([0.5, 0.8])


def test_tree_advantages() -> None:
    # PAIR, but step 1 of trajectory 10 edits the start again: R_0 = 0.2; R_0 of 11 stays 0.1; mean 0.15 -> +-0.05.
    advantages, returns = columns(**PAIR, parent_step_B=[-1, -1, -1, 0])
    assert returns == pytest.approx([0.2, 0.4, 0.1, 0.2])
    assert advantages == pytest.approx([0.25, 0.2, -0.25, -0.2])


def test_callers_step_returns_replace_the_computed_ones() -> None:
    # State 1: mean of 0.9 and 0.5 is 0.7. R(tau) stays the sum of rewards: A^E = +-0.2.
    advantages, returns = columns(**PAIR, step_returns_B=[0.9, 0.1, 0.5, 0.3], parent_step_B=[-1, 0, -1, 0])
    assert returns == pytest.approx([0.9, 0.1, 0.5, 0.3])
    assert advantages == pytest.approx([0.4, 0.2, -0.4, -0.2])


# Five trajectories of one step on one state; episode returns are equal, so A = A^S.
#   valid: 0.4, 0.0, 0.2 (mean 0.2, unbiased deviation 0.2)   invalid: -0.1, -0.1
ONE_STATE: dict[str, Any] = {
    "step_rewards_B": [0.4, 0.0, 0.2, -0.1, -0.1],
    "group_B": [0] * 5,
    "trajectory_B": [0, 1, 2, 3, 4],
    "step_B": [0] * 5,
    "anchor_B": [7] * 5,
    "response_mask_BT": torch.ones(5, 1),
    "episode_returns_B": [0.0] * 5,
}
INVALID = [False, False, False, True, True]


def test_an_invalid_reply_is_compared_with_valid_edits_and_is_in_no_mean() -> None:
    # With the penalties in it the mean would be 0.08, and 0.0 only 0.08 below it.
    assert columns(**ONE_STATE, invalid_B=INVALID)[0] == pytest.approx([0.2, -0.2, 0.0, -0.3, -0.3])


def test_an_invalid_reply_is_divided_by_the_deviation_of_all() -> None:
    # Valid: 0.2. All, about the mean of the valid: sqrt((0.04 + 0.04 + 0 + 0.09 + 0.09) / 4) = 0.25495.
    advantages, _ = columns(**ONE_STATE, invalid_B=INVALID, norm="mean_std_norm")
    assert advantages == pytest.approx([1.0, -1.0, 0.0, -1.17670, -1.17670], abs=2e-5)


def test_one_valid_edit_is_enough_to_compare_with() -> None:
    # 0.4 alone: 0 for itself, -0.5 for an invalid reply; its deviation says nothing: sqrt(0.25 / 1) = 0.5.
    pair = {name: value[2:4] if name.endswith("_B") else torch.ones(2, 1) for name, value in ONE_STATE.items()}
    call = {**pair, "step_rewards_B": [0.4, -0.1], "invalid_B": [False, True]}
    assert columns(**call)[0] == pytest.approx([0.0, -0.5])
    assert columns(**call, norm="mean_std_norm")[0] == pytest.approx([0.0, -1.0], abs=1e-5)


# One episode group; state 1 was edited twice, states 2 and 3 once, state 4 by invalid replies alone.
#   valid returns: 0.5, 0.1 | 0.4 | 0.2, mean of all 0.3; of state 1: 0.3
#   invalid: -0.1 on state 3 and twice on state 4
# Episode returns are equal, so A = A^S.
FEW_TOGETHER: dict[str, Any] = {
    "step_rewards_B": [0.5, 0.1, 0.4, 0.2, -0.1, -0.1, -0.1],
    "group_B": [0] * 7,
    "trajectory_B": [0, 1, 2, 3, 4, 5, 6],
    "step_B": [0] * 7,
    "anchor_B": [1, 1, 2, 3, 3, 4, 4],
    "response_mask_BT": torch.ones(7, 1),
    "episode_returns_B": [0.0] * 7,
    "invalid_B": [False] * 4 + [True] * 3,
}


def test_a_lone_edit_is_compared_with_the_valid_edits_of_its_episode_group() -> None:
    assert columns(**FEW_TOGETHER)[0] == pytest.approx([0.2, -0.2, 0.1, -0.1, -0.4, -0.4, -0.4])


def test_a_lone_edit_says_nothing_in_the_paper() -> None:
    expected = [0.2, -0.2, 0.0, 0.0, -0.3, 0.0, 0.0]
    assert columns(**FEW_TOGETHER, singletons="zero")[0] == pytest.approx(expected, abs=1e-6)


def test_a_lone_edit_is_divided_by_the_deviation_of_its_episode_group() -> None:
    # State 1: deviation sqrt(2 * 0.04) = 0.28284. Valid edits of the group: sqrt((0.04 + 0.04 + 0.01 + 0.01) / 3) =
    # 0.18257. All of them about 0.3: sqrt((0.1 + 3 * 0.16) / 6) = 0.31091, for the invalid ones.
    advantages, _ = columns(**FEW_TOGETHER, norm="mean_std_norm")
    expected = [0.70711, -0.70711, 0.54772, -0.54772, -1.28654, -1.28654, -1.28654]
    assert advantages == pytest.approx(expected, abs=3e-5)


def test_lone_edits_of_two_groups_are_not_compared() -> None:
    call = {**FEW_TOGETHER, "group_B": [0, 0, 0, 1, 1, 1, 1]}
    # Group 0: mean of 0.5, 0.1, 0.4 is 0.33333. Group 1: one valid edit, 0 for itself, and what the others lack of it.
    assert columns(**call)[0] == pytest.approx([0.2, -0.2, 0.06667, 0.0, -0.3, -0.3, -0.3], abs=1e-5)


@pytest.mark.parametrize("norm", ["mean_norm", "mean_std_norm"])
def test_a_group_without_a_valid_edit_says_nothing(norm: Any) -> None:
    call = {**ONE_STATE, "step_rewards_B": [-0.1] * 5, "invalid_B": [True] * 5, "norm": norm}
    assert columns(**call)[0] == pytest.approx([0.0] * 5, abs=1e-9)


def test_a_neutral_step_earns_nothing_and_is_in_no_mean() -> None:
    # Trajectory 11 stops in state 3 after its edit; 12 stops at once, and is no part of the mean of R either.
    # R(tau) given: 0.6, 0.2 -> +-0.2 (with 12's 1.0 the mean would be 0.6). A^S in state 1: +-0.15 as in PAIR.
    stops = {
        "step_rewards_B": [*PAIR["step_rewards_B"][:3], 0.0, 0.0],
        "group_B": [0] * 5,
        "trajectory_B": [10, 10, 11, 11, 12],
        "step_B": [0, 1, 0, 1, 0],
        "anchor_B": [1, 2, 1, 3, 1],
        "step_returns_B": [0.4, 0.4, 0.1, 0.9, 0.9],
        "episode_returns_B": [0.6, 0.6, 0.2, 0.2, 1.0],
        "neutral_B": [False, False, False, True, True],
        "response_mask_BT": torch.ones(5, 1),
        "singletons": "zero",
    }
    expected = [0.35, 0.2, -0.35, 0.0, 0.0]
    assert columns(**stops)[0] == pytest.approx(expected)
    # By rows: (2 * 0.6 + 0.2) / 3 = 0.46667.
    by_rows = columns(**stops, episode_mean="rows")[0]
    assert by_rows == pytest.approx([0.13333 + 0.15, 0.13333, -0.26667 - 0.15, 0.0, 0.0], abs=1e-5)
    result = gigpo(**stops)
    assert result.step_group_B.tolist() == [0, 1, 0, -1, -1]
    statistics = gigpo_statistics(result)
    assert statistics["gigpo/live_rows"] == pytest.approx(3 / 5)
    assert statistics["gigpo/step_group_size"] == pytest.approx(3 / 2)
    assert statistics["gigpo/singleton_share"] == pytest.approx(1 / 3)


def test_a_batch_of_neutral_steps() -> None:
    result = gigpo(**{**PAIR, "neutral_B": [True] * 4})
    assert result.advantage_B.tolist() == [0.0] * 4
    assert gigpo_statistics(result)["gigpo/live_rows"] == 0.0


def test_statistics_are_those_of_the_advantages() -> None:
    # Groups: 0 as in PAIR (step groups of 2, 1, 1); 1 with two one-step trajectories in one state, returns equal.
    # Rows 6 and 7, a copy and a padding row, change nothing.
    result = gigpo(
        [0.2, 0.4, 0.0, 0.2, 0.5, 0.5, 0.2, 0.2],
        [0, 0, 0, 0, 1, 1, 0, 0],
        [10, 10, 11, 11, 12, 13, 10, 10],
        [0, 1, 0, 1, 0, 0, 0, 0],
        [1, 2, 1, 3, 1, 1, 1, 1],
        torch.ones(8, 2),
        padding_B=[False] * 7 + [True],
        gamma=0.5,
        singletons="zero",
    )
    assert gigpo_statistics(result) == pytest.approx(
        {
            "gigpo/live_rows": 4 / 6,
            "gigpo/step_group_size": 6 / 4,
            "gigpo/singleton_share": 2 / 6,
            "gigpo/equal_return_groups": 1.0,
            "gigpo/episode_advantage_std": (4 * 0.2**2 / 6) ** 0.5,
            "gigpo/step_advantage_std": (2 * 0.15**2 / 6) ** 0.5,
        }
    )
    assert result.episode_advantage_B.tolist() == pytest.approx([0.2, 0.2, -0.2, -0.2, 0.0, 0.0, 0.2, 0.0])
    assert result.step_advantage_B.tolist() == pytest.approx([0.15, 0.0, -0.15, 0.0, 0.0, 0.0, 0.15, 0.0])
    assert result.advantage_B.tolist() == pytest.approx([0.35, 0.2, -0.35, -0.2, 0.0, 0.0, 0.35, 0.0])
    assert result.episode_return_B.tolist() == pytest.approx([0.6, 0.6, 0.2, 0.2, 0.5, 0.5, 0.6, 0.0])
    assert result.counted_B.tolist() == [True] * 6 + [False] * 2
    assert result.step_group_B.tolist() == [0, 1, 0, 2, 3, 3, 0, -1]
    assert result.group_B.tolist() == [0, 0, 0, 0, 1, 1, 0, -1]


@pytest.mark.parametrize("parents", [None, []])
def test_empty_batch(parents: list[int] | None) -> None:
    result = gigpo([], [], [], [], [], torch.zeros(0, 3), parent_step_B=parents)
    assert result.advantages_BT.shape == result.returns_BT.shape == (0, 3)
    assert set(gigpo_statistics(result).values()) == {0.0}


def test_batch_of_padding_only() -> None:
    result = gigpo([1.0], [0], [0], [0], [0], torch.ones(1, 2), padding_B=[True], parent_step_B=[-1])
    assert result.advantages_BT.tolist() == result.returns_BT.tolist() == [[0.0, 0.0]]
    assert set(gigpo_statistics(result).values()) == {0.0}


def test_inputs_are_left_alone_and_outputs_carry_no_gradient() -> None:
    rewards = torch.tensor(PAIR["step_rewards_B"], requires_grad=True)
    mask_BT = torch.ones(4, 2)
    advantages_BT, returns_BT = gigpo_advantage(**{**PAIR, "step_rewards_B": rewards, "response_mask_BT": mask_BT})
    assert not advantages_BT.requires_grad
    assert not returns_BT.requires_grad
    assert mask_BT.tolist() == [[1.0, 1.0]] * 4
    assert rewards.tolist() == pytest.approx(PAIR["step_rewards_B"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"group_B": [0, 0, 0]}, "group_B: expected 4 values in one dimension, got shape \\(3,\\)"),
        ({"anchor_B": [[1], [2], [1], [3]]}, "anchor_B: expected 4 values in one dimension, got shape \\(4, 1\\)"),
        ({"padding_B": [False]}, "padding_B: expected 4 values"),
        ({"response_mask_BT": torch.ones(3, 1)}, "response_mask_BT: expected \\(4, tokens\\), got shape \\(3, 1\\)"),
        ({"response_mask_BT": torch.ones(4)}, "response_mask_BT"),
        ({"trajectory_B": [0.0, 0.0, 1.0, 1.0]}, "trajectory_B: expected integers, got torch.float32"),
        ({"group_B": ["a", "a", "b", "b"]}, "group_B: not a column of numbers"),
        ({"anchor_B": [1, 2, 1, 2**64]}, "anchor_B: not a column of numbers of at most 64 bits"),
        ({"step_rewards_B": [0.2, float("nan"), 0.0, 0.2]}, "step_rewards_B: row 1 is not a finite number"),
        ({"episode_returns_B": [0.0, 0.0, 0.0, float("inf")]}, "episode_returns_B: row 3 is not a finite number"),
        ({"step_returns_B": [0.0, float("inf"), 0.0, 0.0]}, "step_returns_B: row 1 is not a finite number"),
        ({"invalid_B": [False]}, "invalid_B: expected 4 values"),
        ({"neutral_B": [0, 0, 0, 0, 0]}, "neutral_B: expected 4 values"),
        ({"step_B": [0, -1, 0, 1]}, "row 1 \\(trajectory 10, step -1\\): step -1 is negative"),
        ({"episode_returns_B": [1.0, 1.0, 0.0, 0.5]}, "row 3 .*: episode_returns_B differs from another row"),
        ({"step_B": [0, 0, 0, 1], "anchor_B": [1, 1, 1, 3]}, "row 1 .*: step_rewards_B differs from another copy"),
        ({"step_B": [0, 0, 0, 1], "step_rewards_B": [0.2] * 4}, "row 1 .*: anchor_B differs from another copy"),
        ({"parent_step_B": [-1, 1, -1, 0]}, "row 1 .*: parent step 1 is not before step 1"),
        ({"parent_step_B": [-1, 0, -2, 0]}, "row 2 .*: parent step -2 is neither a step nor -1"),
        (
            {"step_B": [1, 2, 0, 3], "parent_step_B": [-1, 0, -1, 0]},
            "row 1 \\(trajectory 10, step 2\\): parent step 0 is missing in the trajectory",
        ),
        ({"step_B": [0, 3, 0, 3], "parent_step_B": [-1, 2, -1, 0]}, "row 1 .*: parent step 2 is missing"),
        ({"gamma": 1.5}, "gamma: expected a number from 0 to 1, got 1.5"),
        ({"gamma": float("nan")}, "gamma"),
        ({"omega": -1.0}, "omega: expected a finite number >= 0, got -1.0"),
        ({"omega": float("inf")}, "omega"),
        ({"norm": "std"}, "norm: expected one of mean_norm, mean_std_norm, got 'std'"),
        ({"episode_mean": "tokens"}, "episode_mean: expected one of trajectories, rows, got 'tokens'"),
        ({"singletons": "none"}, "singletons: expected one of group, zero, got 'none'"),
    ],
)
def test_contradictions_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gigpo_advantage(**{**PAIR, **change})


class LargeOutputs(TorchDispatchMode):
    """Remembers the storages of at least ``elements`` elements that operations make while it is active."""

    def __init__(self, elements: int) -> None:
        super().__init__()
        self.elements, self.made = elements, {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else [out]:
            if isinstance(tensor, torch.Tensor) and tensor.untyped_storage().nbytes() >= self.elements:
                self.made[tensor.untyped_storage().data_ptr()] = tensor
        return out


def test_memory_beyond_the_two_outputs_grows_with_rows_only() -> None:
    rows, tokens = 64, 4_096
    index = torch.arange(rows)
    mask_BT = torch.ones(rows, tokens, dtype=torch.bool)
    with LargeOutputs(elements=rows * tokens) as large:
        gigpo_advantage(torch.ones(rows), index // 16, index // 4, index % 4, index % 3, mask_BT)
    assert len(large.made) == 2
