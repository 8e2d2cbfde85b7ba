"""One Ray instance on this machine, and verl's task runner in it."""

from __future__ import annotations

import contextlib
import os
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
    """Start Ray with ``ray_options``, and stop it at the end."""
    ray.init(**ray_options(config, environment))
    try:
        yield
    finally:
        ray.shutdown()


def ray_options(config: DictConfig, environment: Mapping[str, str]) -> dict[str, Any]:
    """What ``ray.init`` is called with: ``config.ray_kwargs.ray_init`` over our defaults.

    ``runtime_env`` is verl's, with ``environment`` and then the recipe's own on top. The logical CPUs and GPUs of a
    run on a CPU come with the recipe (``aflow_verl.recipe.load``).
    """
    given = _given(config.ray_kwargs.ray_init)
    wanted = given.pop("runtime_env", None) or {}
    runtime_env = _without_null(get_ppo_ray_runtime_env(config))
    variables = {**runtime_env.pop("env_vars", {}), "TRANSFER_QUEUE_ENABLE": "1"}
    variables |= {name: os.environ.get(name, value) for name, value in environment.items()}  # the user's own stay
    variables |= wanted.pop("env_vars", {})
    runtime_env |= {**wanted, "env_vars": {name: str(value) for name, value in variables.items()}}
    options: dict[str, Any] = {"include_dashboard": False, "log_to_driver": True, "runtime_env": runtime_env}
    if config.trainer.device == "cpu":
        options["address"] = "local"
    return options | given


def _given(node: DictConfig) -> dict[str, Any]:
    """A node as plain data without what is null, which says nothing in verl's configuration."""
    values = OmegaConf.to_container(node, resolve=True)
    assert isinstance(values, dict)
    return _without_null(values)


def _without_null(values: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        str(name): _without_null(value) if isinstance(value, dict) else value
        for name, value in values.items()
        if value is not None
    }


def train(config: DictConfig) -> None:
    """Run verl's PPO in the Ray instance that is up; returns when training has ended."""
    run_ppo(config, task_runner_class=ray.remote(AflowTaskRunner))
