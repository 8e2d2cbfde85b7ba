"""What verl's own engines save is what an export reads."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoModelForTokenClassification

from aflow_verl.trained.export import write_model


def test_policy_and_critic_of_verls_engines_come_out_bit_for_bit(
    make_engine: Callable[..., Any], make_critic: Callable[[], Any], tmp_path: Path
) -> None:
    kinds = (("language_model", AutoModelForCausalLM), ("value_model", AutoModelForTokenClassification))
    for model_type, kind in kinds:
        engine = make_critic() if model_type == "value_model" else make_engine(model_type)
        saved, out = tmp_path / model_type, tmp_path / f"{model_type}_out"
        engine.save_checkpoint(str(saved))
        shutil.copytree(saved / "huggingface", out)
        write_model(saved, out, value=model_type == "value_model")
        found = kind.from_pretrained(out).state_dict()
        trained = {name: weight.full_tensor() for name, weight in engine.module.state_dict().items()}
        assert found.keys() == trained.keys()
        assert all(torch.equal(found[name], trained[name]) for name in trained)
