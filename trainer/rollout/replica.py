"""verl's view of the transformers rollout server: the replica that launches it, and its registration as ``hf``."""

from __future__ import annotations

import os
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from verl.utils.device import get_device_name, get_visible_devices_keyword
from verl.workers.rollout.base import _ROLLOUT_REGISTRY
from verl.workers.rollout.replica import RolloutReplica, RolloutReplicaRegistry

NAME = "hf"
"""``actor_rollout_ref.rollout.name`` of this server."""


def server_name(replica_rank: int) -> str:
    """Ray name of a replica's server."""
    return f"aflow_rollout_{replica_rank}"


class TransformersReplica(RolloutReplica):
    """One server beside the worker that trains the same copy of the policy."""

    async def launch_servers(self) -> None:
        from trainer.rollout.server import TransformersServer  # it imports verl, and verl imports this module

        placement = await self._beside_worker() if get_device_name() != "cpu" else {}
        remote_class: Any = ray.remote(TransformersServer)
        server = remote_class.options(
            name=server_name(self.replica_rank), num_cpus=0, max_concurrency=self.max_concurrency, **placement
        ).remote(config=self.config, model_config=self.model_config, replica_rank=self.replica_rank)
        self.servers = [server]
        self._server_handle = server
        self._server_address = await server.ready.remote()

    async def _beside_worker(self) -> dict[str, Any]:
        """Ray options that put the server on its worker's node and GPU."""
        keyword = get_visible_devices_keyword()

        def whereabouts(_: Any) -> tuple[str, str]:
            return ray.get_runtime_context().get_node_id(), os.environ.get(keyword, "")

        node_id, devices = await self.workers[0].__ray_call__.remote(whereabouts)
        return {
            "scheduling_strategy": NodeAffinitySchedulingStrategy(node_id=node_id, soft=False),
            "runtime_env": {
                "env_vars": {keyword: devices, "RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES": "1"},
            },
        }


RolloutReplicaRegistry.register(NAME, lambda: TransformersReplica)
_ROLLOUT_REGISTRY[(NAME, "async")] = "trainer.rollout.adapter.TransformersAdapter"
