"""GiGPO, group-in-group policy optimisation (arXiv 2505.10978), as a pure function of tensors.

    R(tau) = sum_t r_t                                       episode return, unless the caller passes its own
    A^E    = (R(tau) - mean_group R) / F                     over the trajectories of one group         (Eq. 3)
    R_t    = sum_{k >= t} gamma^(k - t) r_k                  step return by time                        (Eq. 5)
    R_t    = r_t + gamma max(0, max_{k made from t} R_k)     step return along the search tree
    A^S    = (R_t - mean_G R_t) / F                          G = steps of one group with one anchor     (Eq. 6, 7)
    A      = A^E + omega A^S                                 on every response token                    (Eq. 8)

F is 1 (``mean_norm``) or the unbiased standard deviation + 1e-6 (``mean_std_norm``).

Departures from the paper and its published code, all of them on purpose:

* In a search a later step may edit another branch. Its reward is not owed to this step, so with ``parent_step_B`` the
  return follows the tree; a child that lost does not count against its parent, which could have been left alone.
* A group of one says nothing: A^E = 0 (published code: the raw return) and A^S = 0.
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

STD_FLOOR = 1e-6
"""Added to a standard deviation before dividing by it; returns closer than this are equal."""


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
    group_B: Tensor
    """Dense id of the episode group; -1 in padding rows."""
    step_group_B: Tensor
    """Dense id of the step group (group, anchor); -1 in padding rows."""
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
    episode_returns_B: Values | None = None,
    padding_B: Values | None = None,
    gamma: float = 0.95,
    omega: float = 1.0,
    norm: Norm = "mean_norm",
    episode_mean: EpisodeMean = "trajectories",
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
        episode_returns_B=episode_returns_B,
        padding_B=padding_B,
        gamma=gamma,
        omega=omega,
        norm=norm,
        episode_mean=episode_mean,
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
    episode_returns_B: Values | None = None,
    padding_B: Values | None = None,
    gamma: float = 0.95,
    omega: float = 1.0,
    norm: Norm = "mean_norm",
    episode_mean: EpisodeMean = "trajectories",
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
        episode_returns_B: R(tau), the same in all rows of a trajectory; default: the sum of its step rewards.
        padding_B: True for rows that only fill the batch; their other values are ignored.
        gamma: discount in [0, 1], a step of time or an edge of the tree.
        omega: weight >= 0 of the step advantage; 0 gives GRPO on episodes.
        norm: ``mean_norm`` or ``mean_std_norm``.
        episode_mean: whether mean and deviation of A^E are over ``trajectories`` or over their ``rows`` (steps).

    Raises ValueError for arguments out of range and rows that contradict each other (``trainer.step_rows``).
    Rows cost O(B log B) time; memory beyond the two outputs is O(B).
    """
    _check_settings(gamma, omega, norm, episode_mean)
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
        episode_returns_B=episode_returns_B,
        padding_B=padding_B,
    )
    steps = distinct_steps(rows)
    step_return_U = step_returns(steps, gamma)
    step_group_U = dense_pairs(steps.group_U, steps.anchor_U)  # what a step is compared with

    episode_advantage_B = steps.to_rows(_episode_advantages(steps, norm, episode_mean))
    step_advantage_B = steps.to_rows(relative_to_group(step_return_U, step_group_U, norm))
    step_return_B = steps.to_rows(step_return_U)
    counted_B = torch.zeros(rows.batch_size, dtype=torch.bool)
    counted_B[steps.first_row_U] = True
    return GigpoResult(
        advantages_BT=_on_tokens(episode_advantage_B + omega * step_advantage_B, response_mask_BT),
        returns_BT=_on_tokens(step_return_B, response_mask_BT),
        episode_return_B=steps.to_rows(steps.episode_return_E[steps.trajectory_U]),
        step_return_B=step_return_B,
        episode_advantage_B=episode_advantage_B,
        step_advantage_B=step_advantage_B,
        group_B=steps.to_rows(steps.group_U, -1),
        step_group_B=steps.to_rows(step_group_U, -1),
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


def relative_to_group(value_N: Tensor, group_N: Tensor, norm: Norm) -> Tensor:
    """(x - mean of its group) / F, with dense group ids (Eq. 3 and 7). 0 in a group of one and in one of equals."""
    size_G = torch.bincount(group_N)
    sum_G = torch.zeros(len(size_G), dtype=value_N.dtype).index_add_(0, group_N, value_N)
    difference_N = value_N - (sum_G / size_G)[group_N]
    if norm == "mean_norm":
        return difference_N
    squares_G = torch.zeros_like(sum_G).index_add_(0, group_N, difference_N.square())
    deviation_G = (squares_G / (size_G - 1).clamp(min=1)).sqrt()
    return difference_N / (deviation_G + STD_FLOOR)[group_N]


def gigpo_statistics(result: GigpoResult) -> dict[str, float]:
    """What the estimator saw, over real rows with every step counted once. All 0 for a batch without real rows.

    * ``gigpo/step_group_size``: mean number of steps in a step group; 1 means that A^S is 0 everywhere.
    * ``gigpo/singleton_share``: share of steps that are alone in their step group.
    * ``gigpo/equal_return_groups``: number of episode groups whose episode returns are all equal (a group of one
      trajectory is one of them): there A^E = 0.
    * ``gigpo/episode_advantage_std``, ``gigpo/step_advantage_std``: population standard deviation over steps of A^E
      and of A^S (before omega).
    """
    counted = result.counted_B
    size_G = torch.bincount(result.step_group_B[counted])
    group_N, return_N = result.group_B[counted], result.episode_return_B[counted]
    groups = int(group_N.max()) + 1 if len(group_N) else 0
    extremes = torch.zeros((2, groups), dtype=torch.float64)
    highest_G = extremes[0].scatter_reduce(0, group_N, return_N, "amax", include_self=False)
    lowest_G = extremes[1].scatter_reduce(0, group_N, return_N, "amin", include_self=False)
    steps = max(len(group_N), 1)
    return {
        "gigpo/step_group_size": len(group_N) / max(len(size_G), 1),
        "gigpo/singleton_share": int((size_G == 1).sum()) / steps,
        "gigpo/equal_return_groups": float((highest_G - lowest_G <= STD_FLOOR).sum()),
        "gigpo/episode_advantage_std": _population_std(result.episode_advantage_B[counted]),
        "gigpo/step_advantage_std": _population_std(result.step_advantage_B[counted]),
    }


def _episode_advantages(steps: Steps, norm: Norm, episode_mean: EpisodeMean) -> Tensor:
    """A^E of each distinct step (U), the same for all steps of a trajectory (Eq. 3)."""
    if episode_mean == "rows":
        return relative_to_group(steps.episode_return_E[steps.trajectory_U], steps.group_U, norm)
    return relative_to_group(steps.episode_return_E, steps.group_E, norm)[steps.trajectory_U]


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


def _check_settings(gamma: float, omega: float, norm: str, episode_mean: str) -> None:
    if not 0.0 <= gamma <= 1.0:
        raise ValueError(f"gamma: expected a number from 0 to 1, got {gamma}")
    if not (math.isfinite(omega) and omega >= 0.0):
        raise ValueError(f"omega: expected a finite number >= 0, got {omega}")
    if norm not in get_args(Norm):
        raise ValueError(f"norm: expected one of {', '.join(get_args(Norm))}, got {norm!r}")
    if episode_mean not in get_args(EpisodeMean):
        raise ValueError(f"episode_mean: expected one of {', '.join(get_args(EpisodeMean))}, got {episode_mean!r}")
