"""``algorithm.adv_estimator=gigpo``: verl's adapter around the pure estimator.

verl hands a registered estimator rewards and masks only; GiGPO also needs to know which row is which step of which
episode, on which state, and what the merged tree makes of it. The trainer (``ppo_trainer``) reads that from the rows'
``extra_fields`` and the merge, and leaves it in a context variable for the duration of verl's own
``_compute_advantage``. The estimator's second result, ``returns`` in verl's words, is what the critic learns.
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

from aflow_verl.search.targets import RowTarget
from trainer.critic_targets import targets_on_tokens
from trainer.gigpo import GigpoResult, gigpo

NAME = "gigpo"


@dataclass(frozen=True)
class StepRows:
    """What GiGPO and the critic need of B rows, in the batch's order; ids are small integers, -1 for padding rows."""

    step_rewards_B: NDArray[np.float32]
    episode_returns_B: NDArray[np.float32]
    group_B: NDArray[np.int64]
    trajectory_B: NDArray[np.int64]
    step_B: NDArray[np.int64]
    anchor_B: NDArray[np.int64]
    targets_B: tuple[RowTarget, ...]
    padding_B: NDArray[np.bool_]


PADDING = RowTarget(step_return=0.0, q=0.0, v=0.0, invalid=False, neutral=True)
"""Of a row that only fills the batch."""


def split_key(key: str) -> tuple[str, int, int]:
    """``{uid}_{session}_{index}`` -> (uid, session, index): verl's key of a row, whose index is the step."""
    uid, session, index = key.rsplit("_", 2)
    return uid, int(session), int(index)


def real_keys(batch: KVBatchMeta) -> list[str]:
    """Keys of the batch's rows without verl's padding."""
    return [key for key, tag in zip(batch.keys, batch.tags, strict=True) if not tag.get("is_padding", False)]


def step_rows(
    keys_B: Sequence[str],
    tags_B: Sequence[Mapping[str, Any]],
    extra_fields_B: Sequence[Mapping[str, Any]],
    targets: Mapping[tuple[str, int, int], RowTarget],
) -> StepRows:
    """Align the rows' step data by key, never by position: verl reorders and pads rows.

    Args:
        targets: (uid, session, step) -> what the merged tree says of the row.

    Raises:
        ValueError: a real row lacks the step data of the ``aflow`` agent loop, or was not merged.
    """
    padding_B = np.array([bool(tag.get("is_padding", False)) for tag in tags_B])
    ids: dict[str, dict[Any, int]] = {"group": {}, "trajectory": {}, "anchor": {}}

    def number(kind: str, value: Any) -> int:
        return ids[kind].setdefault(value, len(ids[kind]))

    rows = []
    for key, padding, fields in zip(keys_B, padding_B, extra_fields_B, strict=True):
        if padding:
            rows.append((0.0, 0.0, -1, -1, 0, -1, PADDING))
            continue
        if "step_reward" not in fields or "anchor" not in fields:
            raise ValueError(f"row {key} carries no step data: adv_estimator=gigpo needs the 'aflow' agent loop")
        uid, session, index = split_key(key)
        if (uid, session, index) not in targets:
            raise ValueError(f"row {key} is no part of the merged step")
        rows.append(
            (
                float(fields["step_reward"]),
                float(fields["episode_return"]),
                number("group", uid),
                number("trajectory", (uid, session)),
                index,
                number("anchor", fields["anchor"]),
                targets[uid, session, index],
            )
        )
    rewards, returns, group, trajectory, step, anchor, targets_B = zip(*rows, strict=True)
    return StepRows(
        step_rewards_B=np.array(rewards, dtype=np.float32),
        episode_returns_B=np.array(returns, dtype=np.float32),
        group_B=np.array(group, dtype=np.int64),
        trajectory_B=np.array(trajectory, dtype=np.int64),
        step_B=np.array(step, dtype=np.int64),
        anchor_B=np.array(anchor, dtype=np.int64),
        targets_B=targets_B,
        padding_B=padding_B,
    )


class AdvantageContext:
    """The step data of the batch under way, and the last result (for metrics)."""

    def __init__(self, rows: StepRows, returns: str) -> None:
        self.rows = rows
        self.returns = returns
        """``tree``: those of the merged tree; ``time``: Eq. 5 of the paper."""
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

    Returns:
        Advantages on response tokens, and the critic's targets (``critic_targets.targets_on_tokens``).

    Raises:
        RuntimeError: called without step data, that is outside ``aflow_verl``'s trainer.
    """
    context = _CONTEXT.get()
    if context is None or len(context.rows.step_B) != response_mask.shape[0]:
        raise RuntimeError(
            "adv_estimator=gigpo was called without step data; set trainer.v1.trainer_mode=aflow_sync and "
            "actor_rollout_ref.rollout.agent.default_agent_loop=aflow"
        )
    rows, targets_B = context.rows, context.rows.targets_B
    options = config.get("gigpo", None) or {}
    context.result = gigpo(
        rows.step_rewards_B,
        rows.group_B,
        rows.trajectory_B,
        rows.step_B,
        rows.anchor_B,
        response_mask,
        step_returns_B=[target.step_return for target in targets_B] if context.returns == "tree" else None,
        episode_returns_B=rows.episode_returns_B,
        invalid_B=[target.invalid for target in targets_B],
        neutral_B=[target.neutral for target in targets_B],
        padding_B=rows.padding_B,
        gamma=float(config.gamma),
        omega=float(options.get("omega", 1.0)),
        norm=options.get("norm", "mean_norm"),
        singletons=options.get("singletons", "group"),
    )
    v_B, q_B = (torch.tensor(column) for column in zip(*((target.v, target.q) for target in targets_B), strict=True))
    return context.result.advantages_BT, targets_on_tokens(v_B, q_B, response_mask)
