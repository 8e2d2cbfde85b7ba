"""What is found out about hardware and model sizes."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aflow_verl.checks import machine as machines
from aflow_verl.checks.hardware import generation_gb, update_gb
from aflow_verl.checks.machine import Machine, detect, parse_assume
from aflow_verl.checks.model_size import parameters
from aflow_verl.errors import UserError
from aflow_verl.recipe.load import load_recipe

QWEN = Path(__file__).parents[2] / "recipes" / "qwen7b.yaml"


def test_assumptions() -> None:
    assert parse_assume("gpus=8,gpu_gb=80") == Machine(8, 80.0, assumed=True)
    assert parse_assume("gpus=2") == Machine(2, None, assumed=True)
    assert parse_assume("gpus=2").has_package("no_such_package")
    assert not Machine(0, None).has_package("no_such_package")
    for bad in ("gpus=1.5", "gpus=-1", "gpus=inf", "gpus=nan", "gpu_gb=inf", "gpus=x", "cpus=2", "gpus"):
        with pytest.raises(UserError, match="--assume"):
            parse_assume(bad)


def test_gpus_are_read_from_nvidia_smi(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = SimpleNamespace(returncode=0, stdout="81559\n81559\n")
    monkeypatch.setattr(machines.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    monkeypatch.setattr(machines.subprocess, "run", lambda *a, **k: answer)
    found = detect({})
    assert found.gpus == 2
    assert found.gpu_gb == pytest.approx(85.5, abs=0.1)  # 81559 MiB
    assert detect({"CUDA_VISIBLE_DEVICES": "1"}).gpus == 1
    assert detect({"CUDA_VISIBLE_DEVICES": ""}).gpus == 0


def test_no_gpus_without_a_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines.shutil, "which", lambda name: None)
    monkeypatch.setattr(machines, "_from_proc", lambda: 0)
    found = detect({})
    assert (found.gpus, found.gpu_gb) == (0, None)
    assert found.memory_gb is not None
    assert 0.1 < found.memory_gb < 1e6


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("Qwen/Qwen2.5-7B-Instruct", 7e9),
        ("smollm2-135m", 135e6),
        ("meta-llama/Llama-3.2-1B", 1e9),
        ("models/qwen_1.5b_chat", 1.5e9),
        ("org/model", None),
    ],
)
def test_sizes_in_names(name: str, size: float | None) -> None:
    assert parameters(name) == size


def test_size_from_a_config(tmp_path: Path) -> None:
    config: dict[str, Any] = {
        "hidden_size": 8,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 16,
        "vocab_size": 10,
        "tie_word_embeddings": True,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    # a layer: queries and output 2 * 64, keys and values 2 * 8 * 4, feed-forward 3 * 8 * 16; embeddings 80
    assert parameters(str(tmp_path)) == 2 * (128 + 64 + 384) + 80
    (tmp_path / "config.json").write_text("{}")
    assert parameters(str(tmp_path)) is None


def test_memory_of_the_7b_recipe() -> None:
    recipe = load_recipe(QWEN, [])
    # 7e9 parameters on 8 GPUs: 16 bytes of the one in training and 12 of the other; 12 of both beside half of 80 GB
    assert update_gb(recipe) == pytest.approx(7 * (16 + 12) / 8)
    assert generation_gb(recipe, 80.0) == pytest.approx(7 * (12 + 12) / 8 + 40)


def test_offloading_and_no_critic_need_less() -> None:
    actor, critic = "actor_rollout_ref.actor.fsdp_config", "critic.fsdp"
    offloads = [f"{s}.{o}=true" for s in (actor, critic) for o in ("param_offload", "optimizer_offload")]
    offloaded = load_recipe(QWEN, offloads)
    assert update_gb(offloaded) == pytest.approx(7 * 16 / 8)
    assert generation_gb(offloaded, 80.0) == pytest.approx(40)
    assert update_gb(load_recipe(QWEN, ["critic.enable=false"])) == pytest.approx(7 * 16 / 8)
