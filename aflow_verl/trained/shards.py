"""The weights of a model that verl trained with FSDP, put together from the shards of its checkpoint.

verl's own merger rounds everything to bfloat16; here each tensor stays what it was, bit for bit.
"""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch.distributed.tensor import DTensor, Replicate, Shard

from aflow_verl.errors import UserError

_SHARD = re.compile(r"model_world_size_(\d+)_rank_(\d+)\.pt$")


def merge_shards(folder: Path) -> dict[str, torch.Tensor]:
    """Name -> whole tensor, of ``actor`` or ``critic`` in a checkpoint. Needs no process group and no GPU.

    Raises ``UserError`` for a folder without the model's shards, for LoRA adapters and for other ways of sharding.
    """
    shards = [_load(path) for path in _files(folder)]
    names = shards[0].keys()
    if any("lora_" in name for name in names):
        raise UserError(f"{folder} holds LoRA adapters, which are not merged here; train with lora_rank=0")
    return {name: _whole([shard[name] for shard in shards], f"{folder}: {name}") for name in names}


def _files(folder: Path) -> list[Path]:
    """One a rank, in their order."""
    found = {path: match for path in folder.glob("model_*.pt") if (match := _SHARD.search(path.name))}
    if not found:
        raise UserError(f"{folder} has no weights; train with checkpoint.save_contents that include model")
    sizes = {int(match[1]) for match in found.values()}
    note = folder / "fsdp_config.json"
    size = int(json.loads(note.read_text())["world_size"]) if note.is_file() else max(sizes)
    of_rank = {int(match[2]): path for path, match in found.items() if int(match[1]) == size}
    if sorted(of_rank) != list(range(size)):
        raise UserError(f"{folder} has the weights of {len(of_rank)} of {size} ranks; copy all of them into one folder")
    return [of_rank[rank] for rank in range(size)]


def _load(path: Path) -> Mapping[str, torch.Tensor]:
    try:
        # Tensors alone: a checkpoint from elsewhere must not run code.
        found: Mapping[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as broken:
        raise UserError(f"{path} can't be read: {(str(broken).splitlines() or [''])[0]}") from None
    return found


def _whole(parts: Sequence[torch.Tensor], what: str) -> torch.Tensor:
    """One tensor of what each rank has of it; what is no DTensor is the same on all of them."""
    first = parts[0]
    if not isinstance(first, DTensor):
        return first
    *outer, inner = first.placements
    if any(not isinstance(placement, Replicate) for placement in outer) or not isinstance(inner, Shard | Replicate):
        raise UserError(f"{what} is sharded as {first.placements}, which can't be put together here")
    if isinstance(inner, Replicate):
        return first.to_local()
    # [replicas, shards]: every replica has all, so the first will do.
    ranks = first.device_mesh.mesh.reshape(-1, first.device_mesh.mesh.shape[-1])[0].tolist()
    local = [part.to_local() for part in (parts[rank] for rank in ranks) if isinstance(part, DTensor)]
    return torch.cat(local, dim=inner.dim)
