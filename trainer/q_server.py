"""A copy of the critic that scores new workflows while episodes are played (``search.q_source: server``).

One Ray actor a run, on the CPU of the trainer's node. After each export the critic's leading rank hands it the new
weights, in parts, through the object store. Episodes find it by name (``aflow_verl.env.on_demand``).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import ray
import torch
from omegaconf import DictConfig, OmegaConf
from ray.exceptions import RayActorError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from transformers import AutoConfig

from aflow_verl.critic.batching import BatchingScorer
from aflow_verl.critic.loading import new_critic
from aflow_verl.critic.scorer import CriticScorer, Scores
from aflow_verl.errors import CriticUnavailable
from aflow_verl.search.qvalues import ScoreGroup
from aflow_verl.types import Q_ACTOR
from trainer.launch.environment import THREADS
from trainer.rollout.weights import WeightUpdate

NO_WEIGHTS = -1
"""The step of the weights before the first have come, and while new ones are coming in."""
MAX_CALLS = 4096
"""Requests in flight."""


class QServer:
    """See the module's docstring. Made into an actor by ``QLink``."""

    def __init__(self, path: str, trust_remote_code: bool, dtype: torch.dtype) -> None:
        """``path``: where the critic's configuration lies. ``dtype``: what the critic itself computes in."""
        torch.set_num_threads(int(os.environ.get(THREADS) or max(1, (os.cpu_count() or 2) // 2)))
        config = AutoConfig.from_pretrained(path, trust_remote_code=trust_remote_code)
        self._module = new_critic(config, dtype=dtype)
        self._critic = CriticScorer(self._module, weights_step=NO_WEIGHTS)
        self._scorer = BatchingScorer(self._critic)
        self._update = WeightUpdate(self._module)

    async def ready(self) -> int:
        """The step of the weights; NO_WEIGHTS without any."""
        return self._critic.weights_step

    async def begin_update(self) -> None:
        """New weights are about to come; nothing is scored from now on until ``finish_update``."""
        self._critic.weights_step = NO_WEIGHTS
        await self._scorer.idle()
        self._update = WeightUpdate(self._module)

    async def receive_weights(self, named: Mapping[str, torch.Tensor]) -> None:
        """Take over some of the critic's weights. Raises RuntimeError for a name that the model lacks."""
        self._update.take(named)

    async def finish_update(self, weights_step: int) -> float:
        """The weights are whole; they are those after this training step.

        Returns:
            Relative change of the weights.

        Raises:
            RuntimeError: a parameter did not arrive.
        """
        change = self._update.finish()
        self._critic.weights_step = weights_step
        return change

    async def score(self, groups: Sequence[ScoreGroup], weights_step: int) -> Scores:
        """V by the weights of this step. Raises CriticUnavailable where it has others."""
        present = self._critic.weights_step
        if present != weights_step:
            found = "none yet" if present == NO_WEIGHTS else f"those of step {present}"
            raise CriticUnavailable(f"values of the critic of step {weights_step} are asked for; the copy has {found}")
        scores = await self._scorer.score(groups)
        if scores.weights_step != weights_step:
            raise CriticUnavailable(f"the critic of step {weights_step} was replaced while it was asked")
        return scores


class QLink:
    """The trainer's end: starts the server, starts it again where it was lost, and has weights sent."""

    def __init__(self, config: DictConfig) -> None:
        """``config``: the run's."""
        self._path = str(config.critic.model.path)
        self._trust = bool(OmegaConf.select(config, "critic.model.trust_remote_code"))
        self._dtype = compute_dtype(config)
        self._actor = self._start()  # it loads while verl loads policy and critic

    @classmethod
    def of(cls, config: DictConfig) -> QLink | None:
        """None where new workflows inherit their values."""
        return cls(config) if OmegaConf.select(config, "search.q_source") == "server" else None

    def publish(self, critic: Any, weights_step: int) -> None:
        """Hand the server the weights that the critic has now.

        Args:
            critic: verl worker group of ``AflowTrainingWorker``.
        """
        server = self._alive()
        ray.get(server.begin_update.remote())
        critic.push_weights(server, self._dtype)
        ray.get(server.finish_update.remote(weights_step))

    def _alive(self) -> Any:
        try:
            ray.get(self._actor.ready.remote())
        except RayActorError:
            print("aflow-verl: the process with the copy of the critic was lost; starting another one")
            self._actor = self._start()
        return self._actor

    def _start(self) -> Any:
        here = NodeAffinitySchedulingStrategy(node_id=ray.get_runtime_context().get_node_id(), soft=False)
        remote_class: Any = ray.remote(QServer)
        options = {"name": Q_ACTOR, "num_cpus": 0, "max_concurrency": MAX_CALLS, "scheduling_strategy": here}
        return remote_class.options(**options).remote(self._path, self._trust, self._dtype)


def compute_dtype(config: DictConfig) -> torch.dtype:
    """float32 where the critic computes in it, else bfloat16, which it computes in then."""
    asked = OmegaConf.select(config, "critic.fsdp.mixed_precision.param_dtype")
    return torch.float32 if asked in ("fp32", "float32") else torch.bfloat16
