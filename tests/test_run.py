"""The parts of a run that need no run."""

from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from omegaconf import OmegaConf

from aflow_verl.config import AflowConfig
from aflow_verl.run import _keep_recipe, _start_server


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
            "actor_rollout_ref": {"model": {"path": "model"}},
            "data": {"max_prompt_length": 8},
        }
    )
    _start_server(AflowConfig(benchmark=()), config, {})
    options = remote.return_value.options.call_args.kwargs
    assert options["num_cpus"] == 0
    assert options.get("runtime_env") == expected
