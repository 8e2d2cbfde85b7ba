"""The parts of a run that need no run."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
from omegaconf import OmegaConf
from ray.exceptions import RayTaskError

from aflow_verl.config import AflowConfig, ModelConfig, ModelsConfig
from aflow_verl.errors import UserError
from aflow_verl.run import _keep_recipe, _kept, _start_server, _take_secrets, _user_error


def test_the_recipe_is_written_whole_and_only_where_it_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "recipe.resolved.yaml"
    _keep_recipe(path, "seed: 1\n")
    written = path.stat().st_mtime_ns, path.stat().st_ino
    _keep_recipe(path, "seed: 1\n")
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == written
    _keep_recipe(path, "seed: 1\ntrainer: {total_training_steps: 9}\n")
    assert path.read_text() == "seed: 1\ntrainer: {total_training_steps: 9}\n"

    def killed(source: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        _keep_recipe(path, "half")
    assert "total_training_steps" in path.read_text(), "the old one is whole until the new one is"


@pytest.mark.parametrize(
    ("device", "expected"),
    [("cpu", None), ("cuda", {"env_vars": {"RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES": "1"}})],
)
def test_beside_a_gpu_run_the_search_server_sees_the_gpus(
    device: str, expected: dict[str, Any] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = MagicMock()
    monkeypatch.setattr("ray.remote", remote)
    config = OmegaConf.create(
        {
            "trainer": {"device": device},
            "run_dir": "run",
            "actor_rollout_ref": {"model": {"path": "model"}, "rollout": {"n": 4}},
            "data": {"max_prompt_length": 8, "train_batch_size": 2},
            "algorithm": {"gamma": 0.95},
        }
    )
    _start_server(AflowConfig(benchmark=()), config, {})
    options = remote.return_value.options.call_args.kwargs
    assert options["num_cpus"] == 0
    assert options.get("runtime_env") == expected


def test_keys_that_the_recipe_names_leave_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ANTHROPIC_API_KEY": "a", "MY_KEY": "m", "OTHER_KEY": "o"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    models = ModelsConfig(executor=ModelConfig(kind="openai", key_variable="MY_KEY"))
    assert _take_secrets(AflowConfig(benchmark=(), models=models)) == {"ANTHROPIC_API_KEY": "a", "MY_KEY": "m"}
    assert "MY_KEY" not in os.environ
    assert "ANTHROPIC_API_KEY" not in os.environ
    assert os.environ["OTHER_KEY"] == "o"


def test_a_users_mistake_is_found_behind_rays_errors_in_its_own_words() -> None:
    inner = RayTaskError("evaluate", "Traceback ...", UserError("the key was refused")).as_instanceof_cause()
    outer = RayTaskError("run", "Traceback ...", inner).as_instanceof_cause()
    assert str(_user_error(outer)) == "the key was refused"
    assert _user_error(RuntimeError("no memory")) is None


def test_a_mistake_says_how_to_go_on_once_there_is_something_to_keep(tmp_path: Path) -> None:
    recipe: Any = SimpleNamespace(run_dir=tmp_path, ours=AflowConfig(benchmark=()))
    mistake = UserError("the key was refused")
    assert str(_kept(mistake, recipe)) == "the key was refused"
    (tmp_path / "tree.sqlite").touch()
    expected = f"the key was refused (all is kept; the same command with run_dir={tmp_path} goes on)"
    assert str(_kept(mistake, recipe)) == expected
