"""One workflow on one problem: run in the sandbox, its answer graded."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from aflow_verl.benchmarks.base import Benchmark
from aflow_verl.config import EvaluationConfig, ModelConfig
from aflow_verl.errors import InfrastructureError, ModelUnavailable, SandboxUnavailable
from aflow_verl.evaluation.counters import SANDBOX_FAILURE, Counting
from aflow_verl.evaluation.executor_calls import ExecutorCalls
from aflow_verl.evaluation.retry import with_retries
from aflow_verl.models.client import ModelClient
from aflow_verl.operators.base import OperatorContext
from aflow_verl.operators.catalog import operator_caller
from aflow_verl.sandbox.base import ProgramSandbox, WorkflowSandbox
from aflow_verl.sandbox.limits import Limits
from aflow_verl.sandbox.result import RunResult
from aflow_verl.types import Grade, Problem
from aflow_verl.workflow.state import WorkflowState

T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """What a workflow made of a problem."""

    text: str
    error: str | None
    """Why it failed by its own fault."""
    calls: int
    cost_usd: float


@dataclass(frozen=True)
class Runner:
    """What runs need, and how they are made.

    A run that a sandbox failed, or that the model's client has given up on, is made again; its calls that were answered
    cost nothing more, where replies are kept.
    """

    workflows: WorkflowSandbox
    programs: ProgramSandbox
    model: ModelClient
    limits: Limits
    program_limits: Limits
    executor: ModelConfig
    evaluation: EvaluationConfig
    max_executor_calls: int
    attempts: int
    counting: Counting

    async def answer(self, state: WorkflowState, problem: Problem) -> Answer:
        """Raises SandboxUnavailable, ModelUnavailable and UserError."""
        calls, result = await self._retried(lambda: self._run(state, problem))
        error = calls.fault or result.error
        text = "" if error else str(result.value)[: self.limits.max_output_chars]
        return Answer(text, error, len(calls.completions), calls.cost_usd)

    async def grade(self, problem: Problem, answer: Answer, benchmark: Benchmark) -> Grade:
        """0 for a workflow that failed by its own fault. Raises SandboxUnavailable."""
        score = 0.0
        if answer.error is None:
            score = await self._retried(lambda: benchmark.grade(problem, answer.text, self.programs))
        return Grade(problem.id, score, answer.text, answer.error, answer.calls, answer.cost_usd)

    async def _run(self, state: WorkflowState, problem: Problem) -> tuple[ExecutorCalls, RunResult]:
        calls = ExecutorCalls(self.model, self.executor, self.max_executor_calls, self.counting)
        context = OperatorContext(calls, self._program, self.counting.malformed, self.attempts, problem.public_tests)
        result = await self.workflows.run_workflow(
            state.code,
            state.prompts,
            state.dataset,
            problem.prompt,
            problem.entry_point,
            operator_caller(state.operators, context),
            self.limits,
        )
        return calls, result

    async def _program(self, code: str) -> RunResult:
        return await self.programs.run_program(code, self.program_limits)

    async def _retried(self, attempt: Callable[[], Awaitable[T]]) -> T:
        settings = self.evaluation
        return await with_retries(
            attempt,
            retries=settings.retries,
            backoff_s=settings.backoff_s,
            on=(SandboxUnavailable, ModelUnavailable),
            failed=self._note_failure,
        )

    def _note_failure(self, failure: InfrastructureError) -> None:
        if isinstance(failure, SandboxUnavailable):  # the model's client counts its own
            self.counting.failures[SANDBOX_FAILURE] += 1
