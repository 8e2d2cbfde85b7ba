"""``import verl`` brings our side along; what is missing is named."""

import os
import subprocess
import sys

import pytest
from verl.trainer.ppo.v1 import trainer_base

from trainer import register
from trainer.launch.environment import ON_DEMAND, apply, worker_environment

PROBE = """
import verl
from verl.trainer.ppo.v1 import trainer_base
from verl.experimental.agent_loop.agent_loop import _agent_loop_registry
from verl.plugin.platform import PlatformRegistry
known = "aflow_sync" in trainer_base.TRAINER_REGISTRY, "aflow" in _agent_loop_registry
print(*known, PlatformRegistry.get("cpu").__name__)
"""


def test_everything_is_registered_and_a_gap_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    register.verify()
    monkeypatch.setitem(trainer_base.TRAINER_REGISTRY, "aflow_sync", trainer_base.PPOTrainer)
    with pytest.raises(RuntimeError, match="does not know our trainer aflow_sync; reinstall"):
        register.verify()


def test_the_entry_points_work_in_a_fresh_process() -> None:
    environment = {**os.environ, ON_DEMAND: "", "VERL_PLATFORM": "cpu"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROBE], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip().splitlines()[-1] == "True True PlatformCPU"


def test_the_environment_of_workers() -> None:
    on_cpu = worker_environment(device="cpu", threads=2)
    assert (on_cpu["VERL_PLATFORM"], on_cpu["OMP_NUM_THREADS"]) == ("cpu", "2")
    assert "VERL_PLATFORM" not in worker_environment(device="cuda", threads=2)
    target = {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "7"}
    apply(on_cpu, target)
    assert "CUDA_VISIBLE_DEVICES" not in target  # set but empty, Ray refuses logical GPUs
    assert target["OMP_NUM_THREADS"] == "7"
