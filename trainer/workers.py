"""verl's workers, with three additions: gloo process groups on CPUs; how far an update moved the parameters; a critic
that is read on the prompts of a tree, and learns from replayed rows."""

from __future__ import annotations

import math
import os
from contextlib import nullcontext
from typing import Any

import ray
import torch
import torch.distributed as dist
from tensordict import TensorDict
from verl.single_controller.base.decorator import Dispatch, make_nd_compute_dataproto_dispatch_fn, register
from verl.utils import tensordict_utils as tu
from verl.utils.device import get_device_id, get_device_name
from verl.workers.engine_workers import ActorRolloutRefWorker, TrainingWorker

import trainer.engines.fsdp
import trainer.rollout.replica  # noqa: F401  and the rollout's adapter
from aflow_verl.critic.shared_prompt import prompt_values
from trainer.launch.environment import THREADS
from trainer.parameter_change import Moved, moved, sample
from trainer.rollout.weights import buckets


def _init_gloo() -> None:
    """verl asks torch for "cpu:gloo,cpu:gloo" on a CPU, and torch refuses a device named twice; so be there first."""
    if get_device_name() != "cpu" or dist.is_initialized():
        return
    dist.init_process_group(
        backend="cpu:gloo",
        rank=int(os.environ.get("RANK", 0)),
        world_size=int(os.environ.get("WORLD_SIZE", 1)),
        init_method=os.environ.get("DIST_INIT_METHOD"),
    )


class AflowTrainingWorker(TrainingWorker):
    """verl's training worker: policy, reference or critic."""

    def __init__(self, config: Any) -> None:
        _init_gloo()
        if get_device_name() == "cpu":  # Ray gives an actor of one logical CPU one thread
            torch.set_num_threads(int(os.environ.get(THREADS, "1")))
        super().__init__(config=config)

    @register(dispatch_mode=Dispatch.ONE_TO_ALL)  # type: ignore[attr-defined]
    def remember_parameters(self) -> None:
        """Keep a sample of the parameters as they are now, for ``moved_since``."""
        self._sample = sample(self.engine.optimizer)  # type: ignore[attr-defined]

    @register(dispatch_mode=Dispatch.ONE_TO_ALL)  # type: ignore[attr-defined]
    def moved_since(self) -> Moved:
        """How far this rank's sample is from the one kept."""
        return moved(self._sample, sample(self.engine.optimizer))  # type: ignore[attr-defined]

    @register(dispatch_mode=Dispatch.ONE_TO_ALL)  # type: ignore[attr-defined]
    def score_prompts(self, prompts: list[tuple[int, ...]], batch_size: int) -> dict[int, float]:
        """V at the last token of each prompt, for this rank's share of them.

        Every rank gets all prompts, takes every dp-th, and makes the same number of forwards (they are collectives).

        Returns:
            Index of the prompt -> V.
        """
        rank, size = self.engine.get_data_parallel_rank(), self.engine.get_data_parallel_size()
        mine = list(range(rank, len(prompts), size))
        rounds = math.ceil(math.ceil(len(prompts) / size) / batch_size)
        dtype = getattr(self.engine, "_autocast_dtype", torch.bfloat16)
        autocast = nullcontext() if dtype == torch.float32 else torch.autocast(get_device_name(), dtype)
        module: torch.nn.Module = self.engine.module  # type: ignore[attr-defined]
        scores: dict[int, float] = {}
        with self.engine.eval_mode(), torch.no_grad(), autocast:
            for i in range(rounds):
                chunk = mine[i * batch_size : (i + 1) * batch_size]
                batch = [prompts[p] for p in chunk] or prompts[:1]  # a rank without work still joins the collective
                values = prompt_values(module, batch, device=get_device_id())
                scores.update(zip(chunk, values, strict=False))
        return scores

    @register(dispatch_mode=Dispatch.ONE_TO_ALL)  # type: ignore[attr-defined]
    @torch.no_grad()
    def push_weights(self, server: Any, dtype: torch.dtype) -> None:
        """Hand the whole weights as they are now to ``trainer.q_server.QServer``, from the leading rank."""
        weights, _ = self.engine.get_per_tensor_param()
        # Every rank must exhaust the generator: gathering a sharded tensor is a collective.
        for bucket in buckets(weights, dtype):
            if dist.get_rank() == 0:
                ray.get(server.receive_weights.remote(bucket))

    @register(dispatch_mode=make_nd_compute_dataproto_dispatch_fn(mesh_name="train"), blocking=False)
    def train_replayed(self, data: TensorDict) -> TensorDict | None:
        """verl's ``train_mini_batch``, but for the learning rate, whose schedule stays where it is.

        Args:
            data: this rank's rows, with ``num_mini_batch`` and ``epochs``.

        Returns:
            ``metrics["losses"]``: the loss of each mini-batch, over all ranks.
        """
        mini_batches, epochs = tu.pop(data, key="num_mini_batch"), tu.pop(data, key="epochs")
        outputs = []
        with self.engine.train_mode():
            for mini_batch in tu.chunk_tensordict(data, mini_batches) * epochs:
                tu.assign_non_tensor(mini_batch, disable_auto_offload=True)
                outputs.append(self.train_batch(mini_batch))
        if not self.engine.is_mp_src_rank_with_outputs():
            return None
        losses = [tu.get(output, "metrics")["loss"] for output in outputs]
        return tu.get_tensordict({}, {"metrics": {"losses": losses}})


class AflowActorRolloutRefWorker(ActorRolloutRefWorker):
    """verl's hybrid worker, built from the training worker above."""

    actor_worker_cls = AflowTrainingWorker
    ref_worker_cls = AflowTrainingWorker

    @register(dispatch_mode=Dispatch.ONE_TO_ALL)  # type: ignore[attr-defined]
    def remember_parameters(self) -> None:
        """The policy's; see ``AflowTrainingWorker``."""
        policy: Any = self.actor
        policy.remember_parameters()

    @register(dispatch_mode=Dispatch.ONE_TO_ALL)  # type: ignore[attr-defined]
    def moved_since(self) -> Moved:
        """The policy's; see ``AflowTrainingWorker``."""
        policy: Any = self.actor
        found: Moved = policy.moved_since()
        return found
