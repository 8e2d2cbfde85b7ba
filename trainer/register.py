"""Registers the RL side with verl: loaded through the entry point group ``verl.plugins`` in every process.

A process imports verl for many reasons, and the trainer is heavy to import. So where the launcher asks for it
(``ON_DEMAND``), only the platform is registered with ``import verl``, and the processes that need more (task runner,
training workers, rollout servers) call ``register_all`` themselves.

verl swallows what a plug-in raises, at debug level; so it is printed here before it goes on.
"""

from __future__ import annotations

import os
import sys
import traceback

from trainer.launch.environment import ON_DEMAND


def register_all() -> None:
    """Platform, estimator, trainer, rollout. Again is harmless."""
    try:
        from trainer import advantage, platform_cpu, ppo_trainer  # noqa: F401
        from trainer.rollout import replica  # noqa: F401
    except Exception:
        print("aflow_verl: registering the trainer with verl failed", file=sys.stderr)
        traceback.print_exc()
        raise


def verify() -> None:
    """Check that verl knows everything of ours.

    Raises:
        RuntimeError: one line that names what is missing.
    """
    from verl.plugin.platform import PlatformRegistry
    from verl.trainer.ppo.core_algos import get_adv_estimator_fn
    from verl.trainer.ppo.v1.trainer_base import get_trainer_cls
    from verl.workers.engine.base import EngineRegistry
    from verl.workers.rollout.base import _ROLLOUT_REGISTRY
    from verl.workers.rollout.replica import RolloutReplicaRegistry

    import trainer.engines.fsdp  # noqa: F401  the engines are registered where workers are
    from trainer import advantage, platform_cpu, ppo_trainer
    from trainer.rollout import replica

    engines = EngineRegistry._engines
    known = {
        "platform cpu": PlatformRegistry.get("cpu") is platform_cpu.PlatformCPU,
        "estimator gigpo": get_adv_estimator_fn(advantage.NAME) is advantage.gigpo_estimator,
        "trainer aflow_sync": get_trainer_cls("aflow_sync") is ppo_trainer.AflowSyncTrainer,
        "rollout hf": RolloutReplicaRegistry.get(replica.NAME) is replica.TransformersReplica,
        "rollout adapter hf": (replica.NAME, "async") in _ROLLOUT_REGISTRY,
        "engine language_model/fsdp2/cpu": "cpu" in engines.get("language_model", {}).get("fsdp2", {}),
        "engine value_model/fsdp2/cpu": "cpu" in engines.get("value_model", {}).get("fsdp2", {}),
    }
    missing = [name for name, present in known.items() if not present]
    if missing:
        raise RuntimeError(f"verl does not know our {', '.join(missing)}; reinstall aflow-verl (pip install -e .)")


if os.environ.get(ON_DEMAND):
    from trainer import platform_cpu  # noqa: F401
else:
    register_all()
