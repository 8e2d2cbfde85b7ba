"""A new critic says 0 everywhere until its first update; a head that was trained stays as it is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForTokenClassification
from verl.workers.engine.base import EngineRegistry

import trainer.engines.fsdp as engines
from aflow_verl.critic.loading import as_critic
from trainer.engines.value_head import saved_names, value_head


def _values(engine: Any) -> torch.Tensor:
    with torch.no_grad():
        return engine.module(input_ids=torch.tensor([[5, 6, 7, 8]])).logits.flatten()


def test_a_new_critic_knows_nothing_before_its_first_update(make_engine: Callable[..., Any]) -> None:
    engine = make_engine("value_model")
    assert _values(engine).tolist() == [0.0] * 4
    values = engine.module(input_ids=torch.tensor([[5, 6, 7, 8]])).logits.flatten()
    ((values - 0.5) ** 2).mean().backward()
    engine.optimizer.step()
    assert (_values(engine) != 0.0).all()


def test_a_trained_head_stays(make_engine: Callable[..., Any], tiny_policy: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = AutoModelForTokenClassification.from_pretrained(
        tiny_policy, config=as_critic(AutoConfig.from_pretrained(tiny_policy))
    )
    nn.init.normal_(model.score.weight, std=0.1)
    model.save_pretrained(tmp_path / "whole")
    model.save_pretrained(tmp_path / "sharded", max_shard_size="100KB")
    assert len(list((tmp_path / "sharded").glob("*.safetensors"))) > 1
    for name in ("whole", "sharded"):
        assert {"score.weight", "score.bias"} <= saved_names(str(tmp_path / name))
    engine = make_engine("value_model", tmp_path / "whole")
    head = dict(engine.get_per_tensor_param()[0])["score.weight"]
    assert torch.equal(head, model.score.weight.detach())


def test_names_in_files_of_other_formats(tmp_path: Path) -> None:
    torch.save({"score.weight": torch.zeros(1)}, tmp_path / "pytorch_model.bin")
    assert saved_names(str(tmp_path)) == {"score.weight"}
    (tmp_path / "none").mkdir()
    with pytest.raises(RuntimeError, match="no file of weights"):
        saved_names(str(tmp_path / "none"))


def test_the_head_is_the_layer_with_one_output() -> None:
    assert value_head(nn.ModuleDict({"body": nn.Linear(4, 4), "score": nn.Linear(4, 1)}))[0] == "score"
    with pytest.raises(RuntimeError, match="one layer with one output, ModuleDict has 2"):
        value_head(nn.ModuleDict({"a": nn.Linear(4, 1), "b": nn.Linear(4, 1)}))


@pytest.mark.parametrize("backend", ["fsdp", "fsdp2"])
def test_the_engine_of_gpus_starts_its_head_at_zero_too(monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    monkeypatch.setenv("VERL_ENGINE_DEVICE", "cuda")
    monkeypatch.setenv("VERL_ENGINE_VENDOR", "nvidia")
    chosen = EngineRegistry.get_engine_cls("value_model", backend)
    assert chosen is engines.ZeroHeadEngine
    built = chosen.__mro__[1]._build_module
    assert chosen._build_module is built, "the head is made before the module is sharded"
