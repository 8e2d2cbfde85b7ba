"""The hardware that a recipe is checked against: the one found here, or the one that ``--assume`` names."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from math import isfinite
from pathlib import Path

import psutil

from aflow_verl.errors import UserError
from aflow_verl.schema import suggestion


@dataclass(frozen=True)
class Machine:
    """GPUs a node, their memory, and whether all this is only planned for."""

    gpus: int
    gpu_gb: float | None
    """Memory of one GPU, GB; None where unknown."""
    assumed: bool = False
    """Planned hardware: API keys, named files, model access and GPU packages are taken as given."""
    memory_gb: float | None = None
    """Main memory of the node, GB; None where unknown."""

    def has_package(self, name: str) -> bool:
        """True if the Python package can be imported, or is taken as given."""
        return self.assumed or find_spec(name) is not None


def parse_assume(text: str) -> Machine:
    """``gpus=8,gpu_gb=80`` -> a planned machine. Raises ``UserError`` for anything else."""
    values: dict[str, float] = {"gpus": 0.0}
    for part in text.split(","):
        name, _, value = part.partition("=")
        if name not in ("gpus", "gpu_gb"):
            raise UserError(f"--assume: unknown name '{name}'{suggestion(name, ('gpus', 'gpu_gb'))}; gpus=8,gpu_gb=80")
        try:
            values[name] = float(value)
        except ValueError as bad:
            raise UserError(f"--assume: {name} needs a number, found '{value}'; for example gpus=8,gpu_gb=80") from bad
        possible = isfinite(values[name]) and values[name] >= 0
        if not possible or (name == "gpus" and not values[name].is_integer()):
            raise UserError(f"--assume: {name}={value} is not possible; for example gpus=8,gpu_gb=80")
    return Machine(int(values["gpus"]), values.get("gpu_gb"), assumed=True)


def detect(environment: Mapping[str, str] = os.environ) -> Machine:
    """The NVIDIA GPUs that this process may use, without importing torch (which takes seconds)."""
    memory_gb = _from_nvidia_smi() or [None] * _from_proc()
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        memory_gb = memory_gb[: len([d for d in visible.split(",") if d.strip() not in ("", "-1")])]
    known = [gb for gb in memory_gb if gb is not None]
    return Machine(len(memory_gb), min(known) if known else None, memory_gb=psutil.virtual_memory().total / 1e9)


def _from_nvidia_smi() -> list[float | None]:
    command = shutil.which("nvidia-smi")
    if command is None:
        return []
    query = [command, "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    answer = subprocess.run(query, capture_output=True, text=True, timeout=30, check=False)
    if answer.returncode != 0:
        return []
    # MiB -> GB
    return [float(line) * 1.048576e-3 for line in answer.stdout.splitlines() if line.strip().isdigit()]


def _from_proc() -> int:
    gpus = Path("/proc/driver/nvidia/gpus")
    return len(list(gpus.iterdir())) if gpus.is_dir() else 0
