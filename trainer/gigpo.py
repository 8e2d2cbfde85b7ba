"""GiGPO, group-in-group policy optimisation (arXiv 2505.10978), as a pure function of tensors.

    R(tau) = sum_t r_t                                       episode return, unless the caller passes its own
    A^E    = (R(tau) - mean_group R) / F                     over the trajectories of one group         (Eq. 3)
    R_t    = sum_{k >= t} gamma^(k - t) r_k                  step return by time                        (Eq. 5)
    R_t    = r_t + gamma max(0, max_{k made from t} R_k)     step return along the episode's own tree
    R_t    = step_returns_B                                  step return that the caller knows
    A^S    = (R_t - mean_G R_t) / F                          G = steps of one group with one anchor     (Eq. 6, 7)
    A      = A^E + omega A^S                                 on every response token                    (Eq. 8)

F is 1 (``mean_norm``) or the unbiased standard deviation + 1e-6 (``mean_std_norm``).

Departures from the paper and its published code, all of them on purpose:

* In a search a later step may edit another branch. Its reward is not owed to this step, so with ``parent_step_B`` the
  return follows the tree; a child that lost does not count against its parent, which could have been left alone.
  A tree that many episodes share knows more of what follows an edit than its own episode: ``step_returns_B`` hands
  that in.
* The mean that a step is compared with (and the deviation) is that of the valid edits in its group. An invalid reply
  says nothing of what an edit is worth, and its penalty in the mean would make a bad edit look good. The invalid step
  itself gets its return less that mean. Under ``mean_std_norm`` it is divided by the deviation of all steps about the
  mean, because the valid ones may be as good as equal. A group without a valid edit is compared with its own mean.
* A step with no other valid edit of its anchor to compare with is compared with all valid edits of its episode group
  (``singletons="group"``; the paper gives it 0, as does ``"zero"``). Step returns are gains over the state that was
  edited, so those of different states have one scale. In a search most states are edited once or twice: half of the
  steps would teach nothing, and an invalid reply to such a state would cost nothing.
* A step that took no edit is neutral: its advantage is exactly 0, and it is in no mean; nor is an episode of such
  steps alone. So stopping earns nothing, whatever else the episode found.
* A group of one says nothing: A^E = 0 (published code: the raw return), and A^S = 0 of a lone edit.
* ``returns`` are the step returns R_t, the target of a critic (published code: the advantages).
* Time is the step index, never the order of rows, which verl changes.
* A step is known by (group, trajectory, step). Its copies count once in every statistic; padding rows count nowhere
  and get 0.
* The episode mean is over trajectories, so that a long episode weighs no more than a short one; ``episode_mean="rows"``
  gives the other.
* A penalty for an invalid action is part of that step's reward, thus discounted with it.
* Anchors are whatever ids the caller takes for equal states; ``trainer.anchors`` finds those of similar states, in a
  way that does not depend on their order.

Dimension letters: B rows, T response tokens, U distinct real steps, E episodes (trajectories), G groups, N any items.
All work on rows is in float64 on the CPU (a few MB at most): in float32 the rounding of equal returns would be visible
beside the 1e-6 of F, and sums on a GPU would depend on their order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from trainer.step_rows import Steps, Values, dense_pairs, distinct_steps, read_rows

Norm = Literal["mean_norm", "mean_std_norm"]
EpisodeMean = Literal["trajectories", "rows"]
Singletons = Literal["group", "zero"]

STD_FLOOR = 1e-6
"""Added to a standard deviation before dividing by it; returns closer than this are equal."""
LIVE = 1e-8
"""An advantage above it, in size, teaches the policy something; below is rounding."""


@dataclass(frozen=True, slots=True)
class GigpoResult:
    """Advantages and everything they were made of. Row values are float64 on the CPU, 0 in padding rows."""

    advantages_BT: Tensor
    """A on response tokens, 0 elsewhere; float32 on the device of the response mask."""
    returns_BT: Tensor
    """R_t on response tokens, 0 elsewhere; float32 on the device of the response mask."""
    episode_return_B: Tensor
    """R(tau)."""
    step_return_B: Tensor
    """R_t."""
    episode_advantage_B: Tensor
    """A^E."""
    step_advantage_B: Tensor
    """A^S, before omega."""
    advantage_B: Tensor
    """A."""
    group_B: Tensor
    """Dense id of the episode group; -1 in padding rows."""
    step_group_B: Tensor
    """Dense id of the step group (group, anchor); -1 in padding rows and in neutral ones, which belong to none."""
    counted_B: Tensor
    """True in the one row of each step that statistics count; False in its copies and in padding rows."""


def gigpo_advantage(
    step_rewards_B: Values,
    group_B: Values,
    trajectory_B: Values,
    step_B: Values,
    anchor_B: Values,
    response_mask_BT: Tensor,
    *,
    parent_step_B: Values | None = None,
    step_returns_B: Values | None = None,
    episode_returns_B: Values | None = None,
    invalid_B: Values | None = None,
    neutral_B: Values | None = None,
    padding_B: Values | None = None,
    gamma: float = 0.95,
    omega: float = 1.0,
    norm: Norm = "mean_norm",
    episode_mean: EpisodeMean = "trajectories",
    singletons: Singletons = "group",
) -> tuple[Tensor, Tensor]:
    """``(advantages_BT, returns_BT)`` of ``gigpo``, which documents the arguments."""
    result = gigpo(
        step_rewards_B,
        group_B,
        trajectory_B,
        step_B,
        anchor_B,
        response_mask_BT,
        parent_step_B=parent_step_B,
        step_returns_B=step_returns_B,
        episode_returns_B=episode_returns_B,
        invalid_B=invalid_B,
        neutral_B=neutral_B,
        padding_B=padding_B,
        gamma=gamma,
        omega=omega,
        norm=norm,
        episode_mean=episode_mean,
        singletons=singletons,
    )
    return result.advantages_BT, result.returns_BT


def gigpo(
    step_rewards_B: Values,
    group_B: Values,
    trajectory_B: Values,
    step_B: Values,
    anchor_B: Values,
    response_mask_BT: Tensor,
    *,
    parent_step_B: Values | None = None,
    step_returns_B: Values | None = None,
    episode_returns_B: Values | None = None,
    invalid_B: Values | None = None,
    neutral_B: Values | None = None,
    padding_B: Values | None = None,
    gamma: float = 0.95,
    omega: float = 1.0,
    norm: Norm = "mean_norm",
    episode_mean: EpisodeMean = "trajectories",
    singletons: Singletons = "group",
) -> GigpoResult:
    """Estimate the advantages of a batch of steps, in any row order (Eq. 3 to 8; formulas at the top of the file).

    Columns of B values are 1-D tensors, arrays or lists; ids are any 64-bit integers.

    Args:
        step_rewards_B: reward r_t of the row's step, penalties included.
        group_B: episode group, that is, the dataset row whose trajectories are compared.
        trajectory_B: trajectory; its id is unique within its group.
        step_B: step index t >= 0 within the trajectory; indices may have gaps.
        anchor_B: the state in which the step was taken; equal only for equal states.
        response_mask_BT: 1 on response tokens, 0 elsewhere.
        parent_step_B: the step of the same trajectory that made the state edited here, -1 if none made it. Given,
            step returns follow the tree, else time.
        step_returns_B: R_t of each row; given, nothing is computed of the step rewards but the default of R(tau).
        episode_returns_B: R(tau), the same in all rows of a trajectory; default: the sum of its step rewards.
        invalid_B: True for steps whose reply was no edit that could be tried; default: none.
        neutral_B: True for steps that chose to make no edit; default: none.
        padding_B: True for rows that only fill the batch; their other values are ignored.
        gamma: discount in [0, 1], a step of time or an edge of the tree.
        omega: weight >= 0 of the step advantage; 0 gives GRPO on episodes.
        norm: ``mean_norm`` or ``mean_std_norm``.
        episode_mean: whether mean and deviation of A^E are over ``trajectories`` or over their ``rows`` (steps).
        singletons: what steps are compared with where fewer than two valid edits share their anchor: the valid edits
            of their episode ``group``, or nothing (``zero``).

    Raises ValueError for arguments out of range and rows that contradict each other (``trainer.step_rows``).
    Rows cost O(B log B) time; memory beyond the two outputs is O(B).
    """
    _check_settings(gamma, omega, norm, episode_mean, singletons)
    if response_mask_BT.ndim != 2 or len(response_mask_BT) != len(step_rewards_B):
        shape = tuple(response_mask_BT.shape)
        raise ValueError(f"response_mask_BT: expected ({len(step_rewards_B)}, tokens), got shape {shape}")
    rows = read_rows(
        step_rewards_B,
        group_B,
        trajectory_B,
        step_B,
        anchor_B,
        parent_step_B=parent_step_B,
        step_returns_B=step_returns_B,
        episode_returns_B=episode_returns_B,
        invalid_B=invalid_B,
        neutral_B=neutral_B,
        padding_B=padding_B,
    )
    steps = distinct_steps(rows)
    step_return_U = step_returns(steps, gamma) if steps.step_return_U is None else steps.step_return_U
    step_group_U = dense_pairs(steps.group_U, steps.anchor_U)  # what a step is compared with
    edits = ~steps.neutral_U

    episode_advantage_U = _episode_advantages(steps, norm, episode_mean)
    step_advantage_U = _step_advantages(steps, step_return_U, step_group_U, norm, singletons)
    advantage_B = steps.to_rows(episode_advantage_U + omega * step_advantage_U)
    step_return_B = steps.to_rows(step_return_U)
    counted_B = torch.zeros(rows.batch_size, dtype=torch.bool)
    counted_B[steps.first_row_U] = True
    return GigpoResult(
        advantages_BT=_on_tokens(advantage_B, response_mask_BT),
        returns_BT=_on_tokens(step_return_B, response_mask_BT),
        episode_return_B=steps.to_rows(steps.episode_return_E[steps.trajectory_U]),
        step_return_B=step_return_B,
        episode_advantage_B=steps.to_rows(episode_advantage_U),
        step_advantage_B=steps.to_rows(step_advantage_U),
        advantage_B=advantage_B,
        group_B=steps.to_rows(steps.group_U, -1),
        step_group_B=steps.to_rows(torch.where(edits, step_group_U, -1), -1),
        counted_B=counted_B,
    )


def step_returns(steps: Steps, gamma: float) -> Tensor:
    """R_t of each distinct step (U): along the tree where parents are given, else by time (Eq. 5).

    Both are one sweep from the last step index to the first. Every step hands its discounted return to one earlier
    step: the one that made its state (which keeps the largest, and at least 0), or its predecessor in time (which has
    one successor only). So the sweep's Python loop is over step indices, not over rows.
    """
    count = len(steps.reward_U)
    receiver_U, discount_U = _predecessors(steps, gamma) if steps.parent_U is None else (steps.parent_U, gamma)
    discount_U = torch.as_tensor(discount_U, dtype=torch.float64).expand(count)
    reduction = "sum" if steps.parent_U is None else "amax"
    future = torch.zeros(count + 1, dtype=torch.float64)  # the last place takes what nobody receives
    return_U = steps.reward_U.clone()
    order_U = torch.argsort(steps.level_U, stable=True)
    for level in reversed(torch.split(order_U, torch.bincount(steps.level_U).tolist())):
        return_U[level] += future[level]
        future.scatter_reduce_(0, receiver_U[level], discount_U[level] * return_U[level], reduction)
    return return_U


def relative_to_group(value_N: Tensor, group_N: Tensor, norm: Norm, basis_N: Tensor | None = None) -> Tensor:
    """(x - mean of its group) / F, with dense group ids (Eq. 3 and 7). 0 in a group of one and in one of equals.

    Args:
        basis_N: True for the items that mean and deviation are made of; default, and in a group without any: all. The
            others are divided by the root of sum (x - mean)^2 / (n - 1) over all n items of their group, so by a
            number that their own distance is part of.
    """
    groups = int(group_N.max()) + 1 if len(group_N) else 0

    def total(item_N: Tensor) -> Tensor:
        return torch.zeros(groups, dtype=value_N.dtype).index_add_(0, group_N, item_N)

    weight_N = torch.ones_like(value_N) if basis_N is None else basis_N.to(value_N.dtype)
    weight_N = torch.where(total(weight_N)[group_N] > 0, weight_N, 1.0)
    size_G = total(weight_N)
    difference_N = value_N - (total(value_N * weight_N) / size_G)[group_N]
    if norm == "mean_norm":
        return difference_N
    square_N = difference_N.square()
    deviation_G = (total(square_N * weight_N) / (size_G - 1).clamp(min=1)).sqrt()
    deviation_of_all_G = (total(square_N) / (total(torch.ones_like(value_N)) - 1).clamp(min=1)).sqrt()
    deviation_N = torch.where(weight_N > 0, deviation_G[group_N], deviation_of_all_G[group_N])
    return difference_N / (deviation_N + STD_FLOOR)


def gigpo_statistics(result: GigpoResult) -> dict[str, float]:
    """What the estimator saw, over real rows with every step counted once. All 0 for a batch without real rows.

    * ``gigpo/live_rows``: share of steps whose advantage is not 0; the others teach the policy nothing.
    * ``gigpo/step_group_size``: mean number of steps in a step group; 1 means that A^S is 0 everywhere. Neutral steps
      are in none, here and in the next line.
    * ``gigpo/singleton_share``: share of steps that are alone in their step group.
    * ``gigpo/equal_return_groups``: number of episode groups whose episode returns are all equal (a group of one
      trajectory is one of them): there A^E = 0.
    * ``gigpo/episode_advantage_std``, ``gigpo/step_advantage_std``: population standard deviation over steps of A^E
      and of A^S (before omega).
    """
    counted = result.counted_B
    compared_N = result.step_group_B[counted & (result.step_group_B >= 0)]
    size_G = torch.unique(compared_N, return_counts=True)[1]
    group_N, return_N = result.group_B[counted], result.episode_return_B[counted]
    groups = int(group_N.max()) + 1 if len(group_N) else 0
    extremes = torch.zeros((2, groups), dtype=torch.float64)
    highest_G = extremes[0].scatter_reduce(0, group_N, return_N, "amax", include_self=False)
    lowest_G = extremes[1].scatter_reduce(0, group_N, return_N, "amin", include_self=False)
    live = int((result.advantage_B[counted].abs() > LIVE).sum())
    return {
        "gigpo/live_rows": live / max(len(group_N), 1),
        "gigpo/step_group_size": len(compared_N) / max(len(size_G), 1),
        "gigpo/singleton_share": int((size_G == 1).sum()) / max(len(compared_N), 1),
        "gigpo/equal_return_groups": float((highest_G - lowest_G <= STD_FLOOR).sum()),
        "gigpo/episode_advantage_std": _population_std(result.episode_advantage_B[counted]),
        "gigpo/step_advantage_std": _population_std(result.step_advantage_B[counted]),
    }


def _episode_advantages(steps: Steps, norm: Norm, episode_mean: EpisodeMean) -> Tensor:
    """A^E of each distinct step (U), the same for all edits of a trajectory (Eq. 3); 0 for neutral steps."""
    edits = ~steps.neutral_U
    trajectory = steps.trajectory_U[edits]
    if episode_mean == "trajectories":
        compared, place = torch.unique(trajectory, return_inverse=True)  # trajectories with at least one edit
    else:
        compared, place = trajectory, torch.arange(len(trajectory))
    relative = relative_to_group(steps.episode_return_E[compared], steps.group_E[compared], norm)
    advantage_U = torch.zeros(len(edits), dtype=torch.float64)
    advantage_U[edits] = relative[place]
    return advantage_U


def _step_advantages(
    steps: Steps, step_return_U: Tensor, step_group_U: Tensor, norm: Norm, singletons: Singletons
) -> Tensor:
    """A^S of each distinct step (U) (Eq. 7); 0 for neutral steps."""
    edits = ~steps.neutral_U
    value_N, anchor_N, valid_N = step_return_U[edits], step_group_U[edits], ~steps.invalid_U[edits]
    relative_N = relative_to_group(value_N, anchor_N, norm, valid_N)
    if singletons == "group":
        alone_N = torch.bincount(anchor_N, valid_N.double())[anchor_N] < 2
        relative_N = torch.where(alone_N, relative_to_group(value_N, steps.group_U[edits], norm, valid_N), relative_N)
    advantage_U = torch.zeros_like(step_return_U)
    advantage_U[edits] = relative_N
    return advantage_U


def _predecessors(steps: Steps, gamma: float) -> tuple[Tensor, Tensor]:
    """The step before each one in its trajectory (U if none), and gamma to the time between the two."""
    count = len(steps.step_U)
    previous_U = torch.arange(count) - 1  # steps are sorted by trajectory, then time
    starts_U = torch.ones(count, dtype=torch.bool)
    starts_U[1:] = steps.trajectory_U[1:] != steps.trajectory_U[:-1]
    previous_U[starts_U] = count
    elapsed_U = torch.zeros(count, dtype=torch.float64)
    elapsed_U[1:] = (steps.step_U[1:] - steps.step_U[:-1]).double()
    elapsed_U[starts_U] = 0.0
    return previous_U, gamma**elapsed_U


def _on_tokens(value_B: Tensor, response_mask_BT: Tensor) -> Tensor:
    """Broadcast a row's value over its response tokens, in the memory of the output (no temporary of B x T)."""
    value_BT = torch.empty(response_mask_BT.shape, dtype=torch.float32, device=response_mask_BT.device)
    return value_BT.copy_(response_mask_BT).mul_(value_B.to(value_BT)[:, None])


def _population_std(value_N: Tensor) -> float:
    return float(value_N.std(correction=0)) if len(value_N) else 0.0


def _check_settings(gamma: float, omega: float, norm: str, episode_mean: str, singletons: str) -> None:
    if not 0.0 <= gamma <= 1.0:
        raise ValueError(f"gamma: expected a number from 0 to 1, got {gamma}")
    if not (math.isfinite(omega) and omega >= 0.0):
        raise ValueError(f"omega: expected a finite number >= 0, got {omega}")
    if norm not in get_args(Norm):
        raise ValueError(f"norm: expected one of {', '.join(get_args(Norm))}, got {norm!r}")
    if episode_mean not in get_args(EpisodeMean):
        raise ValueError(f"episode_mean: expected one of {', '.join(get_args(EpisodeMean))}, got {episode_mean!r}")
    if singletons not in get_args(Singletons):
        raise ValueError(f"singletons: expected one of {', '.join(get_args(Singletons))}, got {singletons!r}")
