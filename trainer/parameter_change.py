"""How far an update has moved a model: the direct proof that it is trained, whatever serves its rollouts.

    change = |p_after - p_before| / |p_before|        over a fixed sample of every parameter

The sample is every k-th number of each rank's own shards, so that it needs no communication and a few megabytes.
0.0 exactly where nothing moved, as with a learning rate of 0 or gradients clipped to 0. Weight decay moves, too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

SAMPLE = 2**20
"""Numbers a rank keeps, about: 4 MB."""


@dataclass(frozen=True)
class Moved:
    """What one rank's sample says; sums of squares add up over ranks."""

    difference: float
    """|p_after - p_before|^2."""
    before: float
    """|p_before|^2."""


def sample(optimizer: Optimizer) -> Tensor:
    """Every k-th number of each trained parameter's local shard, the first always; 1-D, float32, on the CPU.

    The optimizer's parameters are the shards at any time; a module's are whole for a while after a forward (FSDP2).
    """
    shards = [_shard(parameter) for group in optimizer.param_groups for parameter in group["params"]]
    stride = max(1, math.ceil(sum(shard.numel() for shard in shards) / SAMPLE))
    parts = [shard[::stride].detach().to("cpu", torch.float32, copy=True) for shard in shards]
    return torch.cat(parts) if parts else torch.zeros(0)


def moved(before: Tensor, after: Tensor) -> Moved:
    """Compare two samples of the same parameters."""
    return Moved(float((after - before).double().square().sum()), float(before.double().square().sum()))


def relative_change(of_ranks: Sequence[Moved]) -> float:
    """The change over all ranks; 0.0 for a model whose sample is all zeros and stays so."""
    difference = math.fsum(rank.difference for rank in of_ranks)
    before = math.fsum(rank.before for rank in of_ranks)
    return math.sqrt(difference / before) if before else math.sqrt(difference)


def _shard(parameter: Tensor) -> Tensor:
    local = parameter.to_local() if isinstance(parameter, DTensor) else parameter
    return local.detach().reshape(-1)
