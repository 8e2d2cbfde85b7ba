"""Environment variables that verl, Ray and torch read when they are imported, in the driver and in every worker."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping

ON_DEMAND = "AFLOW_VERL_REGISTER_ON_DEMAND"
"""What ``trainer.register`` and ``aflow_verl.env.register`` read; named here because this module comes before verl."""

THREADS = "AFLOW_VERL_THREADS"
"""OpenMP threads a process; Ray overwrites ``OMP_NUM_THREADS``."""


def worker_environment(*, device: str, threads: int) -> dict[str, str]:
    """What the processes of a run need.

    Args:
        device: ``trainer.device`` of the recipe.
        threads: OpenMP threads a process on a CPU; two processes with two threads each on two cores slow one another
            down to a quarter, unless waiting threads sleep.
    """
    environment = {
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_DEDUP_LOGS": "0",
        "HYDRA_FULL_ERROR": "1",
        ON_DEMAND: "1",
        # Idle Ray workers, one a logical CPU, cost a hundred megabytes each and nobody needs them.
        "RAY_prestart_worker_first_driver": "0",
        "RAY_enable_worker_prestart": "0",
    }
    if device == "cpu":
        environment |= {
            "VERL_PLATFORM": "cpu",
            "OMP_NUM_THREADS": str(threads),
            THREADS: str(threads),
            "OMP_WAIT_POLICY": "passive",
            "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        }
    return environment


def apply(environment: Mapping[str, str], target: MutableMapping[str, str] | None = None) -> None:
    """Set the variables in this process; what the user has set stays."""
    target = os.environ if target is None else target
    for name, value in environment.items():
        target.setdefault(name, value)
    if not target.get("CUDA_VISIBLE_DEVICES", "unset"):
        del target["CUDA_VISIBLE_DEVICES"]  # Ray refuses num_gpus > 0 where it is set but empty
