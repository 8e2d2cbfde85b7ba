"""``algorithm.adv_estimator=gigpo``: verl's adapter around the pure estimator.

verl hands a registered estimator rewards and masks only; GiGPO also needs to know which row is which step of which
episode, on which state. The trainer (``ppo_trainer``) reads that from the rows' ``extra_fields`` and leaves it in a
context variable for the duration of verl's own ``_compute_advantage``.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.core_algos import register_adv_est

from trainer.gigpo import GigpoResult, gigpo

NAME = "gigpo"


@dataclass(frozen=True)
class StepRows:
    """What GiGPO needs of B rows, in the batch's order; ids are small integers, -1 throughout for padding rows."""

    step_rewards_B: NDArray[np.float32]
    episode_returns_B: NDArray[np.float32]
    group_B: NDArray[np.int64]
    trajectory_B: NDArray[np.int64]
    step_B: NDArray[np.int64]
    parent_step_B: NDArray[np.int64]
    anchor_B: NDArray[np.int64]
    padding_B: NDArray[np.bool_]


def split_key(key: str) -> tuple[str, int, int]:
    """``{uid}_{session}_{index}`` -> (uid, session, index): verl's key of a row, whose index is the step."""
    uid, session, index = key.rsplit("_", 2)
    return uid, int(session), int(index)


def real_keys(batch: KVBatchMeta) -> list[str]:
    """Keys of the batch's rows without verl's padding."""
    return [key for key, tag in zip(batch.keys, batch.tags, strict=True) if not tag.get("is_padding", False)]


def step_rows(
    keys_B: Sequence[str], tags_B: Sequence[Mapping[str, Any]], extra_fields_B: Sequence[Mapping[str, Any]]
) -> StepRows:
    """Align the rows' step data by key, never by position: verl reorders and pads rows.

    Raises:
        ValueError: a real row lacks the step data of the ``aflow`` agent loop.
    """
    padding_B = np.array([bool(tag.get("is_padding", False)) for tag in tags_B])
    ids: dict[str, dict[Any, int]] = {"group": {}, "trajectory": {}, "anchor": {}}

    def number(kind: str, value: Any) -> int:
        return ids[kind].setdefault(value, len(ids[kind]))

    rows = []
    for key, padding, fields in zip(keys_B, padding_B, extra_fields_B, strict=True):
        if padding:
            rows.append((0.0, 0.0, -1, -1, 0, -1, -1))
            continue
        if "step_reward" not in fields or "anchor" not in fields:
            raise ValueError(f"row {key} carries no step data: adv_estimator=gigpo needs the 'aflow' agent loop")
        uid, session, index = split_key(key)
        rows.append(
            (
                float(fields["step_reward"]),
                float(fields["episode_return"]),
                number("group", uid),
                number("trajectory", (uid, session)),
                index,
                int(fields["parent_step"]),
                number("anchor", fields["anchor"]),
            )
        )
    rewards, returns, *ids_of = zip(*rows, strict=True)
    group_B, trajectory_B, step_B, parent_step_B, anchor_B = (np.array(column, dtype=np.int64) for column in ids_of)
    return StepRows(
        step_rewards_B=np.array(rewards, dtype=np.float32),
        episode_returns_B=np.array(returns, dtype=np.float32),
        group_B=group_B,
        trajectory_B=trajectory_B,
        step_B=step_B,
        parent_step_B=parent_step_B,
        anchor_B=anchor_B,
        padding_B=padding_B,
    )


class AdvantageContext:
    """The step data of the batch under way, and the last result (for metrics)."""

    def __init__(self, rows: StepRows, returns: str) -> None:
        self.rows = rows
        self.returns = returns
        """``tree`` or ``time``."""
        self.result: GigpoResult | None = None


_CONTEXT: contextvars.ContextVar[AdvantageContext | None] = contextvars.ContextVar("gigpo_rows", default=None)


@contextlib.contextmanager
def advantage_context(rows: StepRows, returns: str) -> Iterator[AdvantageContext]:
    """Make ``rows`` known to the registered estimator while the block runs."""
    context = AdvantageContext(rows, returns)
    token = _CONTEXT.set(context)
    try:
        yield context
    finally:
        _CONTEXT.reset(token)


@register_adv_est(NAME)
def gigpo_estimator(
    token_level_rewards: torch.Tensor, response_mask: torch.Tensor, config: Any = None, **_: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """GiGPO (arXiv 2505.10978) as a verl estimator; shapes [B, T] in and out.

    Raises:
        RuntimeError: called without step data, that is outside ``aflow_verl``'s trainer.
    """
    context = _CONTEXT.get()
    if context is None or len(context.rows.step_B) != response_mask.shape[0]:
        raise RuntimeError(
            "adv_estimator=gigpo was called without step data; set trainer.v1.trainer_mode=aflow_sync and "
            "actor_rollout_ref.rollout.agent.default_agent_loop=aflow"
        )
    rows = context.rows
    options = config.get("gigpo", None) or {}
    context.result = gigpo(
        rows.step_rewards_B,
        rows.group_B,
        rows.trajectory_B,
        rows.step_B,
        rows.anchor_B,
        response_mask,
        parent_step_B=rows.parent_step_B if context.returns == "tree" else None,
        episode_returns_B=rows.episode_returns_B,
        padding_B=rows.padding_B,
        gamma=float(config.gamma),
        omega=float(options.get("omega", 1.0)),
        norm=options.get("norm", "mean_norm"),
    )
    return context.result.advantages_BT, context.result.returns_BT
