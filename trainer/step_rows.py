"""From the rows of a training batch to its distinct steps: checked, de-duplicated, in a canonical order.

verl reorders the rows of a batch and pads it with copies of real rows before advantages are computed. Here a step is
known by its key (group, trajectory, step), so that the order of rows means nothing and a copy is never counted twice;
trajectory ids need to be unique within their group only.

Dimension letters: B rows, U distinct real steps (sorted by group, trajectory, then step), E episodes (trajectories).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

Values = Tensor | np.ndarray | Sequence[int] | Sequence[float] | Sequence[bool]
"""One value a row: a 1-D tensor, array or list."""

NO_PARENT = -1


@dataclass(frozen=True, slots=True)
class Rows:
    """The real rows of a batch as they came; ids are any 64-bit integers. CPU tensors of one length."""

    position: Tensor
    """Index of the row in the batch."""
    reward: Tensor
    group: Tensor
    trajectory: Tensor
    step: Tensor
    anchor: Tensor
    parent_step: Tensor | None
    step_return: Tensor | None
    episode_return: Tensor | None
    invalid: Tensor
    neutral: Tensor
    batch_size: int
    """B: number of rows in the batch, padding included."""


@dataclass(frozen=True, slots=True)
class Steps:
    """The distinct real steps. Ids are dense (0, 1, ...), so that they index tensors of statistics."""

    reward_U: Tensor
    """Step reward r_t, float64."""
    step_U: Tensor
    """Step index t as given."""
    level_U: Tensor
    """Rank of the step index among all step indices of the batch."""
    trajectory_U: Tensor
    anchor_U: Tensor
    parent_U: Tensor | None
    """Index in U of the step that made the state edited here; U where there is none; None if returns go by time."""
    step_return_U: Tensor | None
    """R_t where the caller knows it, float64."""
    invalid_U: Tensor
    """True where the reply was no edit that could be tried."""
    neutral_U: Tensor
    """True where no edit was wanted."""
    group_E: Tensor
    """Episode group of each trajectory."""
    episode_return_E: Tensor
    """R(tau), float64."""
    first_row_U: Tensor
    """The row of the batch that stands for this step."""
    step_of_row_B: Tensor
    """Index in U of each row's step; U for padding rows."""

    @property
    def group_U(self) -> Tensor:
        """Episode group of each step."""
        return self.group_E[self.trajectory_U]

    def to_rows(self, value_U: Tensor, padding_value: float = 0.0) -> Tensor:
        """Hand each row (B) the value of its step, so that all copies get the same; padding rows get the last."""
        return torch.cat([value_U, value_U.new_full((1,), padding_value)])[self.step_of_row_B]


def read_rows(
    step_rewards_B: Values,
    group_B: Values,
    trajectory_B: Values,
    step_B: Values,
    anchor_B: Values,
    *,
    parent_step_B: Values | None = None,
    step_returns_B: Values | None = None,
    episode_returns_B: Values | None = None,
    invalid_B: Values | None = None,
    neutral_B: Values | None = None,
    padding_B: Values | None = None,
) -> Rows:
    """Convert the columns of a batch to tensors and drop the padding rows, whose values are never looked at.

    Raises ValueError for columns that are not 1-D, differ in length, hold no integers where ids are expected, or
    rewards that are not finite.
    """
    batch_size = len(step_rewards_B)

    def flags(name: str, values: Values | None) -> Tensor:
        if values is None:
            return torch.zeros(batch_size, dtype=torch.bool)
        return _column(name, values, batch_size).to(torch.bool)

    position = (~flags("padding_B", padding_B)).nonzero()[:, 0]

    def integers(name: str, values: Values) -> Tensor:
        column = _column(name, values, batch_size)
        if batch_size and (column.is_floating_point() or column.is_complex() or column.dtype == torch.bool):
            raise ValueError(f"{name}: expected integers, got {column.dtype}")
        return column.to(torch.int64)[position]

    def reals(name: str, values: Values) -> Tensor:
        column = _column(name, values, batch_size, dtype=torch.float64)[position]
        if not bool(torch.isfinite(column).all()):
            row = int(position[~torch.isfinite(column)][0])
            raise ValueError(f"{name}: row {row} is not a finite number")
        return column

    return Rows(
        position=position,
        reward=reals("step_rewards_B", step_rewards_B),
        group=integers("group_B", group_B),
        trajectory=integers("trajectory_B", trajectory_B),
        step=integers("step_B", step_B),
        anchor=integers("anchor_B", anchor_B),
        parent_step=None if parent_step_B is None else integers("parent_step_B", parent_step_B),
        step_return=None if step_returns_B is None else reals("step_returns_B", step_returns_B),
        episode_return=None if episode_returns_B is None else reals("episode_returns_B", episode_returns_B),
        invalid=flags("invalid_B", invalid_B)[position],
        neutral=flags("neutral_B", neutral_B)[position],
        batch_size=batch_size,
    )


def distinct_steps(rows: Rows) -> Steps:
    """Count every (group, trajectory, step) once and check that the rows fit together.

    R(tau) is the caller's ``episode_return``, or else the sum of the trajectory's distinct step rewards (Eq. 3 of
    arXiv 2505.10978). Raises ValueError for a negative step, copies that disagree, different episode returns within a
    trajectory, and a parent step that is not an earlier step of the trajectory.
    """
    _check(rows.step < 0, rows, "step {step} is negative")
    trajectory = dense_pairs(dense(rows.group), dense(rows.trajectory))
    episodes = int(trajectory.max()) + 1 if len(trajectory) else 0
    step_values, level = torch.unique(rows.step, return_inverse=True)
    key_U, inverse = torch.unique(trajectory * max(len(step_values), 1) + level, return_inverse=True)

    first_U = _first(inverse, len(key_U))
    first_E = _first(trajectory, episodes)
    _check_copies(rows, first_U[inverse])
    same_trajectory = first_E[trajectory]
    if rows.episode_return is not None:
        differs = rows.episode_return != rows.episode_return[same_trajectory]
        _check(differs, rows, "episode_returns_B differs from another row of the trajectory")

    trajectory_U, reward_U = trajectory[first_U], rows.reward[first_U]
    if rows.episode_return is not None:
        episode_return_E = rows.episode_return[first_E]
    else:
        episode_return_E = torch.zeros(episodes, dtype=torch.float64).index_add_(0, trajectory_U, reward_U)

    step_of_row_B = torch.full((rows.batch_size,), len(key_U))
    step_of_row_B[rows.position] = inverse
    return Steps(
        reward_U=reward_U,
        step_U=rows.step[first_U],
        level_U=level[first_U],
        trajectory_U=trajectory_U,
        anchor_U=dense(rows.anchor[first_U]),
        parent_U=None if rows.parent_step is None else _parents(rows, first_U, trajectory_U, step_values, key_U),
        step_return_U=None if rows.step_return is None else rows.step_return[first_U],
        invalid_U=rows.invalid[first_U],
        neutral_U=rows.neutral[first_U],
        group_E=dense(rows.group[first_E]),
        episode_return_E=episode_return_E,
        first_row_U=rows.position[first_U],
        step_of_row_B=step_of_row_B,
    )


def dense(ids: Tensor) -> Tensor:
    """Ids as 0, 1, ... in the order of their values."""
    dense_ids: Tensor = torch.unique(ids, return_inverse=True)[1]
    return dense_ids


def dense_pairs(left: Tensor, right: Tensor) -> Tensor:
    """One dense id for each pair of dense ids (both counts fit in 32 bits, so their product fits in 64)."""
    width = int(right.max()) + 1 if len(right) else 1
    return dense(left * width + right)


def _parents(rows: Rows, first_U: Tensor, trajectory_U: Tensor, step_values: Tensor, key_U: Tensor) -> Tensor:
    """Index in U of each step's parent; U for none."""
    assert rows.parent_step is not None
    _check(rows.parent_step < NO_PARENT, rows, "parent step {parent} is neither a step nor -1")
    _check(rows.parent_step >= rows.step, rows, "parent step {parent} is not before step {step}")
    parent_step_U = rows.parent_step[first_U]
    has_parent_U = parent_step_U != NO_PARENT
    level_U = torch.searchsorted(step_values, parent_step_U)  # below len(step_values): some step is later
    wanted_U = trajectory_U * max(len(step_values), 1) + level_U
    parent_U = torch.searchsorted(key_U, wanted_U).clamp(max=max(len(key_U) - 1, 0))
    found_U = (step_values[level_U] == parent_step_U) & (key_U[parent_U] == wanted_U)
    missing = torch.zeros_like(rows.step, dtype=torch.bool)
    missing[first_U] = has_parent_U & ~found_U
    _check(missing, rows, "parent step {parent} is missing in the trajectory")
    return torch.where(has_parent_U, parent_U, len(key_U))


def _check_copies(rows: Rows, first: Tensor) -> None:
    """Rows with one key are copies of one step: what they say must be the same."""
    columns = {
        "step_rewards_B": rows.reward,
        "anchor_B": rows.anchor,
        "parent_step_B": rows.parent_step,
        "step_returns_B": rows.step_return,
        "invalid_B": rows.invalid,
        "neutral_B": rows.neutral,
    }
    for name, column in columns.items():
        if column is not None:
            _check(column != column[first], rows, f"{name} differs from another copy of the step")


def _check(wrong: Tensor, rows: Rows, problem: str) -> None:
    """Raise ValueError that names the first wrong row."""
    if not bool(wrong.any()):
        return
    i = int(wrong.nonzero()[0])
    step, trajectory = int(rows.step[i]), int(rows.trajectory[i])
    parent = None if rows.parent_step is None else int(rows.parent_step[i])
    where = f"row {int(rows.position[i])} (trajectory {trajectory}, step {step})"
    raise ValueError(f"{where}: {problem.format(step=step, parent=parent)}")


def _first(inverse: Tensor, count: int) -> Tensor:
    """First index at which each of ``count`` dense ids appears."""
    index = torch.arange(len(inverse))
    return torch.full((count,), len(inverse)).scatter_reduce_(0, inverse, index, "amin")


def _column(name: str, values: Values, length: int, dtype: torch.dtype | None = None) -> Tensor:
    """A 1-D CPU tensor of ``length`` values. Arrays of Python objects, as verl carries them, are read as lists."""
    if isinstance(values, np.ndarray) and values.dtype == object:
        values = values.tolist()
    try:
        column = torch.as_tensor(values, dtype=dtype, device="cpu").detach()
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise ValueError(f"{name}: not a column of numbers of at most 64 bits: {error}") from error
    if column.ndim != 1 or len(column) != length:
        raise ValueError(f"{name}: expected {length} values in one dimension, got shape {tuple(column.shape)}")
    return column
