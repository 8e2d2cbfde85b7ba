"""Critic values of the search tree's nodes -> the ``QSnapshot`` that the next rollouts' selectors use."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aflow_verl.critic.shared_prompt import SharedPromptGroup
from aflow_verl.search.qvalues import QSnapshot, QValue, ScoreGroup, calibrated

NO_EXPORT: Mapping[str, float] = {
    "critic_export/nodes": 0.0,
    "critic_export/seconds": 0.0,
    "critic_export/rank_correlation": float("nan"),
    "critic_export/confidence": 0.0,
}
"""The metrics of a step without a critic."""


@dataclass(frozen=True)
class Export:
    """A snapshot and how it came about."""

    snapshot: QSnapshot
    metrics: dict[str, float]


def export_values(
    critic: Any,
    groups: Sequence[ScoreGroup],
    kept: Mapping[str, QValue],
    known_returns: Mapping[str, Sequence[float]],
    *,
    weights_step: int,
    batch_size: int,
    gamma: float,
) -> Export:
    """Score every node and every action of ``groups`` with the critic as it is now.

    Args:
        critic: verl worker group of ``AflowTrainingWorker``; ranks share the groups.
        kept: values that these weights gave already; they are part of the snapshot.
        known_returns: node id -> tree returns of training rows that edited it; for the calibration.
        batch_size: prompts a forward.

    Returns:
        The snapshot, and the metrics ``critic_export/*``.
    """
    started = time.perf_counter()
    v_of: dict[str, float] = {}
    q_of: dict[str, float] = {}
    if groups:
        asked = [SharedPromptGroup(g.prompt_ids, tuple(ids for _, ids in g.actions)) for g in groups]
        for rank_scores in critic.score_shared_prompts(asked, batch_size):
            for index, (v, q_A) in rank_scores.items():
                group = groups[index]
                if group.node_id is not None:
                    v_of[group.node_id] = v
                q_of.update((child, q) for (child, _), q in zip(group.actions, q_A, strict=True))
    scored = {node: QValue(v=v, q=q_of.get(node), weights_step=weights_step) for node, v in v_of.items()}
    snapshot = calibrated({**kept, **scored}, known_returns, weights_step=weights_step, gamma=gamma)
    correlation = snapshot.rank_correlation
    metrics = {
        "critic_export/nodes": float(len(scored)),
        "critic_export/seconds": time.perf_counter() - started,
        "critic_export/rank_correlation": float("nan") if correlation is None else correlation,
        "critic_export/confidence": snapshot.confidence,
    }
    return Export(snapshot, metrics)
