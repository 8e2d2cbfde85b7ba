"""What Ray is started with; nothing is started here."""

from typing import Any

import pytest
from omegaconf import OmegaConf
from ray.runtime_env import RuntimeEnv

from trainer.launch.local import ray_options


def options(device: str, ray_init: dict[str, Any], environment: dict[str, str]) -> dict[str, Any]:
    config = OmegaConf.create({"trainer": {"device": device}, "ray_kwargs": {"ray_init": ray_init}})
    return ray_options(config, environment)


def test_the_recipes_runtime_env_is_laid_over_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OURS", raising=False)
    given = {"runtime_env": {"py_executable": None, "pip": ["x"], "env_vars": {"THEIRS": 1, "BOTH": "recipe"}}}
    runtime_env = options("cpu", given, {"OURS": "2", "BOTH": "ours"})["runtime_env"]
    variables = runtime_env.pop("env_vars")
    assert runtime_env == {"pip": ["x"]}
    assert variables["OURS"] == "2"
    assert (variables["THEIRS"], variables["BOTH"]) == ("1", "recipe")
    assert variables["TRANSFER_QUEUE_ENABLE"] == "1"
    assert variables["VERL_FULL_DETERMINISM"] == "0", "verl's own"


def test_a_variable_of_the_shell_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS", "shell")
    assert options("cpu", {}, {"OURS": "2"})["runtime_env"]["env_vars"]["OURS"] == "shell"


def test_ray_accepts_the_runtime_env() -> None:
    runtime_env = options("cpu", {"runtime_env": {"py_executable": None}}, {"OURS": "2"})["runtime_env"]
    assert RuntimeEnv(**runtime_env).env_vars()["OURS"] == "2"


def test_resources_are_the_recipes_and_null_says_nothing() -> None:
    on_cpu = options("cpu", {"num_cpus": 11, "num_gpus": 1, "object_store_memory": None}, {})
    on_cpu.pop("runtime_env")
    assert on_cpu == {
        "include_dashboard": False, "log_to_driver": True, "address": "local", "num_cpus": 11, "num_gpus": 1
    }  # fmt: skip
    on_gpus = options("cuda", {"num_cpus": None, "include_dashboard": True}, {})
    assert on_gpus["include_dashboard"] is True
    assert not {"address", "num_cpus", "num_gpus"} & on_gpus.keys()
