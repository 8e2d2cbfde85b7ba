"""One Ray instance on this machine, and verl's task runner in it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import ray
from omegaconf import DictConfig, OmegaConf
from verl.trainer.constants_ppo import get_ppo_ray_runtime_env
from verl.trainer.main_ppo import run_ppo
from verl.trainer.ppo.utils import need_critic, need_reference_policy
from verl.utils.config import validate_config

from aflow_verl.errors import RecipeError
from trainer import register
from trainer.launch.task_runner import AflowTaskRunner


def validate(config: DictConfig) -> None:
    """verl's own checks of a config, as one line.

    Raises:
        RecipeError: verl would refuse the config, or does not know our registrations.
    """
    try:
        validate_config(
            config=config,
            use_reference_policy=need_reference_policy(config),
            use_critic=need_critic(config),
        )
        register.register_all()
        register.verify()
    except (AssertionError, ValueError, RuntimeError) as error:
        raise RecipeError(f"verl refuses the recipe: {' '.join(str(error).split())}") from error


@contextlib.contextmanager
def local_ray(config: DictConfig, environment: Mapping[str, str]) -> Iterator[None]:
    """Start Ray for ``config.ray_kwargs.ray_init``, and stop it at the end.

    On a CPU Ray is told of as many GPUs as there are ranks, because verl places ranks by that resource, and of as many
    logical CPUs as verl's placement asks for, whatever the machine has.
    """
    options: dict[str, Any] = OmegaConf.to_container(config.ray_kwargs.ray_init, resolve=True)  # type: ignore[assignment]
    ranks = int(config.trainer.n_gpus_per_node) * int(config.trainer.nnodes)
    runtime_env = OmegaConf.to_container(OmegaConf.create(get_ppo_ray_runtime_env(config)))
    assert isinstance(runtime_env, dict)
    runtime_env["env_vars"] = {**runtime_env.get("env_vars", {}), "TRANSFER_QUEUE_ENABLE": "1", **environment}
    defaults: dict[str, Any] = {"include_dashboard": False, "log_to_driver": True, "runtime_env": runtime_env}
    if config.trainer.device == "cpu":
        defaults |= {"address": "local", "num_gpus": ranks}
        options["num_cpus"] = options.get("num_cpus") or logical_cpus(ranks)
    ray.init(**{**defaults, **{name: value for name, value in options.items() if value is not None}})
    try:
        yield
    finally:
        ray.shutdown()


def logical_cpus(ranks: int) -> int:
    """Ray CPUs that a run's placement groups and actors need: three a rank, and one each for what stands alone."""
    return 3 * ranks + 8


def train(config: DictConfig) -> None:
    """Run verl's PPO in the Ray instance that is up; returns when training has ended."""
    run_ppo(config, task_runner_class=ray.remote(AflowTaskRunner))
