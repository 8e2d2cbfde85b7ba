"""What the critic says, as plain numbers for the search: of the tree's nodes now, and of the step's rows beforehand."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import transfer_queue as tq
from transfer_queue import KVBatchMeta

from aflow_verl.search.qvalues import ScoreGroup
from trainer.advantage import real_keys, split_key

NO_EXPORT: Mapping[str, float] = {"critic_export/nodes": 0.0, "critic_export/seconds": 0.0}
"""The metrics of a step without a critic."""


@dataclass(frozen=True)
class Export:
    """V of the nodes, and how it came about."""

    values: dict[str, float]
    """Node id -> V by the critic's present weights."""
    metrics: dict[str, float]


def export_values(critic: Any, groups: Sequence[ScoreGroup], kept: Mapping[str, float], *, batch_size: int) -> Export:
    """V of every node of ``groups`` by the critic as it is now.

    Args:
        critic: verl worker group of ``AflowTrainingWorker``; ranks share the prompts.
        groups: one a node.
        kept: values that these weights gave already; they are part of the result.
        batch_size: prompts a forward.

    Returns:
        The values, and the metrics ``critic_export/*``.
    """
    started = time.perf_counter()
    scored: dict[str, float] = {}
    asked = [group for group in groups if group.node_id is not None]
    if asked:
        for of_rank in critic.score_prompts([group.prompt_ids for group in asked], batch_size):
            scored.update((str(asked[index].node_id), v) for index, v in of_rank.items())
    seconds = time.perf_counter() - started
    metrics = {"critic_export/nodes": float(len(scored)), "critic_export/seconds": seconds}
    return Export({**kept, **scored}, metrics)


def predictions(batch: KVBatchMeta) -> dict[tuple[str, int, int], tuple[float, float]]:
    """(uid, session, t) -> (V, Q) of each real row by the critic as it was before this step's update.

    verl has just computed them: V is the first of a row's ``values``, at the last prompt token, and Q the last. They
    were made without knowing what the row's edit would bring, so comparing them with it is an honest test.
    """
    keys = real_keys(batch)
    data = tq.kv_batch_get(keys=keys, partition_id=batch.partition_id, select_fields=["values"])
    rows = zip(keys, data["values"].unbind(), strict=True)
    return {split_key(key): (float(values[0]), float(values[-1])) for key, values in rows}
