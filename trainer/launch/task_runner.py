"""verl's task runner, with our side registered before it looks for the trainer."""

from __future__ import annotations

from typing import Any

from verl.trainer.main_ppo import TaskRunnerV1

from trainer.register import register_all

_RemoteTaskRunner: Any = TaskRunnerV1
_TaskRunner: Any = _RemoteTaskRunner.__ray_metadata__.modified_class  # the class behind the Ray actor


class AflowTaskRunner(_TaskRunner):
    """Runs the trainer in a process of its own; made into a Ray actor by ``launch.local``."""

    def run(self, config: Any) -> None:
        register_all()
        super().run(config)
