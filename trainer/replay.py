"""Rows of earlier episodes in the critic's update, as an update of their own directly after verl's.

Apart and not mixed in: a batch of verl's is shared with the actor, and its rows have many fields that a replayed row
has no values for. Optimizer, loss and clipping are those of verl's update; the learning rate's schedule counts training
steps, so it stands still here. Old values, which the loss clips against, are the critic's before the whole update, as
for verl's own rows. The actor never sees a replayed row.

Dimension letters: R replayed rows; T rows with padding.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import transfer_queue as tq
from omegaconf import DictConfig
from tensordict import TensorDict
from transfer_queue import KVBatchMeta
from verl.utils import tensordict_utils as tu
from verl.workers.utils.padding import response_from_nested, response_to_nested

from aflow_verl.search.replay import ReplayRow
from aflow_verl.search.targets import RowTarget
from trainer.advantage import real_keys, split_key
from trainer.critic_targets import targets_on_tokens

PADDING = ReplayRow((0,), (0,), 0.0, 0.0)
"""Its response is masked, so it adds nothing to the loss."""
NO_REPLAY: Mapping[str, float] = {"critic/replayed_rows": 0.0}


@dataclass(frozen=True)
class Sizes:
    """How R rows make mini-batches; sizes count the rows of all ranks."""

    mini_batches: int
    mini_batch: int

    @property
    def rows(self) -> int:
        """T."""
        return self.mini_batches * self.mini_batch


def sizes(rows: int, largest: int, unit: int) -> Sizes:
    """As few mini-batches as possible, alike, each of at most ``largest`` rows and with at least one that is real.

    Args:
        rows: R, at least 1.
        largest: the mini-batch of the critic's own update, a multiple of ``unit``.
        unit: ranks times the micro-batch of one: what a mini-batch is a multiple of.
    """
    mini_batches = math.ceil(rows / largest)
    return Sizes(mini_batches, math.ceil(math.ceil(rows / mini_batches) / unit) * unit)


def read_rows(
    batch: KVBatchMeta, targets: Mapping[tuple[str, int, int], RowTarget]
) -> dict[tuple[str, int, int], ReplayRow]:
    """(uid, session, t) -> each distinct real row of a batch, with what the critic is trained towards."""
    keys = real_keys(batch)
    fields = ["prompts", "responses"]
    data = tq.kv_batch_get(keys=keys, partition_id=batch.partition_id, select_fields=fields)
    rows = {}
    for key, prompt, response in zip(map(split_key, keys), *(data[name].unbind() for name in fields), strict=True):
        rows[key] = ReplayRow(tuple(prompt.tolist()), tuple(response.tolist()), targets[key].v, targets[key].q)
    return rows


def replay_batch(rows: Sequence[ReplayRow], padded: int, ranks: int) -> TensorDict:
    """[T] rows, real ones and padding dealt out to the ranks, as verl's engines take them."""
    dealt = [*rows, *[PADDING] * (padded - len(rows))]
    real = [True] * len(rows) + [False] * (padded - len(rows))
    order = [i for rank in range(ranks) for i in range(rank, padded, ranks)]  # verl hands each rank one stretch
    rows, real = [dealt[i] for i in order], [real[i] for i in order]
    whole = [[*row.prompt_ids, *row.response_ids] for row in rows]
    mask = _nested([[int(counts)] * len(row.response_ids) for row, counts in zip(rows, real, strict=True)])
    v_T, q_T = torch.tensor([row.v for row in rows]), torch.tensor([row.q for row in rows])
    return TensorDict(
        {
            "input_ids": _nested(whole),
            "position_ids": _nested([list(range(len(ids))) for ids in whole]),
            "prompts": _nested([row.prompt_ids for row in rows]),
            "responses": _nested([row.response_ids for row in rows]),
            "response_mask": mask,
            "loss_mask": mask,
            "returns": response_to_nested(targets_on_tokens(v_T, q_T, mask.to_padded_tensor(0)), mask),
        },
        batch_size=[padded],
    )


class CriticReplay:
    """One replay: ask for the old values, let verl update, ``update``."""

    def __init__(self, critic: Any, rows: Sequence[ReplayRow], config: DictConfig) -> None:
        """
        Args:
            critic: verl worker group of ``AflowTrainingWorker``.
            rows: none is a replay that does nothing.
            config: the composed recipe.
        """
        self._critic = critic
        self._rows = len(rows)
        if not rows:
            return
        settings = config.critic
        micro = None if settings.use_dynamic_bsz else int(settings.ppo_micro_batch_size_per_gpu)
        ranks = int(critic.world_size)
        largest = int(settings.ppo_mini_batch_size) * int(config.actor_rollout_ref.rollout.n)
        self._sizes = sizes(len(rows), largest, ranks * (micro or 1))
        self._epochs = int(settings.ppo_epochs)
        self._batch = replay_batch(rows, self._sizes.rows, ranks)
        self._temperature = float(config.actor_rollout_ref.rollout.temperature)
        self._batch["values"] = self._old_values(micro)

    def _old_values(self, micro: int | None) -> torch.Tensor:
        asked = self._batch.select("input_ids", "position_ids", "prompts", "responses", "loss_mask")
        tu.assign_non_tensor(asked, compute_loss=False, temperature=self._temperature)
        if micro is not None:
            tu.assign_non_tensor(asked, micro_batch_size_per_gpu=micro)
        values = self._critic.infer_batch(asked).get()["values"]
        return response_from_nested(values, self._batch["response_mask"])

    def update(self) -> dict[str, float]:
        """Train the critic on the rows; returns metrics."""
        if not self._rows:
            return dict(NO_REPLAY)
        tu.assign_non_tensor(
            self._batch,
            temperature=self._temperature,
            global_batch_size=self._sizes.mini_batch,
            num_mini_batch=self._sizes.mini_batches,
            epochs=self._epochs,
        )
        losses = self._critic.train_replayed(self._batch).get()["metrics"]["losses"]
        return {"critic/replayed_rows": float(self._rows), "critic/replay_vf_loss": math.fsum(losses) / len(losses)}


def _nested(rows: Sequence[Sequence[int] | Sequence[float]]) -> torch.Tensor:
    return torch.nested.as_nested_tensor([torch.tensor(row) for row in rows], layout=torch.jagged)
