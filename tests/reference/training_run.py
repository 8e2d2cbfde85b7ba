"""The run directory of a training as verl leaves it, of a tiny policy and a tiny critic, without a training."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml
from torch.distributed.tensor import DeviceMesh, DTensor, Placement, Shard
from torch.distributed.tensor._dtensor_spec import DTensorSpec, TensorMeta
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForTokenClassification

RECIPE = {
    "kind": "train",
    "benchmark": {"name": "simulated"},
    "env": {
        "action_format": "edit",
        "operators": ["Custom", "ScEnsemble", "Programmer"],
        "max_workflow_steps": 3,
        "samples": [3],
        "instructions": [],
        "max_logs": 3,
    },
    "data": {"max_prompt_length": 512, "max_response_length": 2},
    "actor_rollout_ref": {"rollout": {"temperature": 1.0}},
    "algorithm": {"gamma": 0.9},
    "trainer": {"default_local_dir": "/nowhere/checkpoints"},
}


@dataclass(frozen=True)
class TrainingRun:
    """``policy`` and ``critic``: the modules whose weights the checkpoint holds."""

    run_dir: Path
    checkpoint: Path
    policy: torch.nn.Module
    critic: torch.nn.Module


def write_training_run(run_dir: Path, model: Path, *, step: int = 3, ranks: int = 2) -> TrainingRun:
    """``model``: a transformers directory, the policy; the critic is that with a random value head."""
    run_dir.mkdir(parents=True)
    (run_dir / "recipe.resolved.yaml").write_text(yaml.safe_dump(RECIPE))
    (run_dir / "critic.json").write_text(json.dumps({"centre": {"simulated": 0.4}}))
    checkpoint = run_dir / "checkpoints" / f"global_step_{step}"
    policy = AutoModelForCausalLM.from_pretrained(model)
    config = AutoConfig.from_pretrained(model, num_labels=1, classifier_dropout=0.0)
    torch.manual_seed(7)
    critic = AutoModelForTokenClassification.from_config(config)
    write_shards(checkpoint / "actor", policy.state_dict(), ranks)
    write_shards(checkpoint / "critic", critic.state_dict(), ranks)
    for folder in ("actor", "critic"):
        beside = checkpoint / folder / "huggingface"
        shutil.copytree(model, beside, ignore=shutil.ignore_patterns("*.safetensors"))
        # verl writes the configuration of either model under the policy's name.
        (policy if folder == "actor" else critic).config.save_pretrained(beside)
    (checkpoint / "complete").touch()
    return TrainingRun(run_dir, checkpoint, policy, critic)


def write_shards(folder: Path, weights: Mapping[str, torch.Tensor], ranks: int) -> None:
    """FSDP2's: each tensor cut along its first dimension, the last ranks with less or nothing."""
    folder.mkdir(parents=True)
    (folder / "fsdp_config.json").write_text(json.dumps({"FSDP_version": 2, "world_size": ranks}))
    for rank in range(ranks):
        mesh = mesh_of(torch.arange(ranks), rank)
        shards = {name: shard(weight, mesh, (Shard(0),), rank, ranks) for name, weight in weights.items()}
        torch.save(shards, folder / f"model_world_size_{ranks}_rank_{rank}.pt")


def mesh_of(layout: torch.Tensor, rank: int) -> DeviceMesh:
    """A mesh without a process group."""
    names = ("ddp", "fsdp")[-layout.dim() :]
    return DeviceMesh("cpu", layout, mesh_dim_names=names, _init_backend=False, _rank=rank)


def shard(whole: torch.Tensor, mesh: DeviceMesh, placements: tuple[Placement, ...], part: int, parts: int) -> DTensor:
    """The ``part``-th of ``parts`` of a tensor, as FSDP saves it."""
    cut = whole.chunk(parts)
    local = (cut[part] if part < len(cut) else whole[:0]).clone()
    meta = TensorMeta(whole.shape, whole.stride(), whole.dtype)
    return DTensor(local, DTensorSpec(mesh, placements, meta), requires_grad=False)
