"""The end of the rollout server that lives in verl's training worker: it pushes new weights."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

import ray
import torch
from verl.workers.rollout.base import BaseRollout

from trainer.rollout.replica import server_name
from trainer.rollout.weights import buckets


class TransformersAdapter(BaseRollout):
    """Sends the policy's full tensors to the replica's server, from the replica's leading rank."""

    def __init__(self, config: Any, model_config: Any, device_mesh: Any, replica_rank: int = -1) -> None:
        super().__init__(config, model_config, device_mesh)
        rank = int(os.environ["RANK"])
        ranks = (
            self.config.tensor_model_parallel_size
            * self.config.data_parallel_size
            * self.config.pipeline_model_parallel_size
        )
        self._replica_rank = rank // ranks if replica_rank == -1 else replica_rank
        self._leads = rank % ranks == 0
        self._handle: Any = None

    def _server(self) -> Any:
        if self._handle is None:  # the server is launched after this adapter is built
            self._handle = ray.get_actor(server_name(self._replica_rank))
        return self._handle

    async def resume(self, tags: list[str]) -> None:
        if self._leads:
            await self._server().wake_up.remote(tags=tags)

    async def release(self) -> None:
        if self._leads:
            await self._server().sleep.remote()

    @torch.no_grad()
    async def update_weights(
        self,
        weights: Generator[tuple[str, torch.Tensor], None, None],
        wire_format: str = "named_tensors",
        global_steps: int | None = None,
        **_: Any,
    ) -> None:
        if wire_format != "named_tensors":
            raise NotImplementedError(f"the {wire_format} wire format is not served by the transformers rollout")
        # Every rank must exhaust the generator: gathering a sharded tensor is a collective.
        for bucket in buckets(weights):
            if self._leads:
                await self._server().receive_weights.remote(ray.put(bucket))
        if self._leads:
            await self._server().finish_update.remote(global_steps)
