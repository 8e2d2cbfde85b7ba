"""The engine on one benchmark: what an episode, and the choice of the best workflow, call."""

from __future__ import annotations

from collections.abc import Sequence

from aflow_verl.benchmarks.base import Benchmark
from aflow_verl.evaluation.comparison import require_complete
from aflow_verl.evaluation.engine import Engine
from aflow_verl.types import Evaluation, Problem
from aflow_verl.workflow.state import WorkflowState


class BenchmarkEngine:
    """Evaluations on the problems of one benchmark."""

    def __init__(self, engine: Engine, benchmark: Benchmark) -> None:
        self._engine = engine
        self._benchmark = benchmark

    async def evaluate(self, workflow: WorkflowState, problems: Sequence[Problem]) -> Evaluation:
        """Complete: raises InfrastructureError where problems are missing, and as ``Engine.evaluate`` does."""
        return require_complete(await self._engine.evaluate(workflow, problems, self._benchmark))

    async def dry_run(self, workflow: WorkflowState) -> str | None:
        """Why the workflow fails on a stub executor (``evaluation.dry_run``); None where it doesn't.

        It is given the first validation problem. Raises SandboxUnavailable.
        """
        return await self._engine.dry_run(workflow, self._benchmark.problems("validation")[0])
