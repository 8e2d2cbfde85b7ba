"""Runs workflows on problems and grades the answers.

All problems of all evaluations in flight share the sandbox's workers and the executor's places. Equal work is done
once: a finished grade is stored before it is returned, and an equal run in flight is waited for. A workflow's own
fault is a grade of 0 with its reason; a failure of the infrastructure is retried and then raised, never graded.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Protocol

from aflow_verl.benchmarks.base import Benchmark
from aflow_verl.config import EvaluationConfig, ExecutorConfig
from aflow_verl.errors import InfrastructureError, ModelUnavailable, SandboxUnavailable
from aflow_verl.evaluation.counters import Counters
from aflow_verl.evaluation.executor_calls import ExecutorCalls
from aflow_verl.evaluation.retry import with_retries
from aflow_verl.models.client import ModelClient
from aflow_verl.operators.base import ProgramRunner
from aflow_verl.operators.catalog import operator_caller
from aflow_verl.sandbox.limits import Limits
from aflow_verl.sandbox.monty import OperatorCall
from aflow_verl.sandbox.result import RunResult
from aflow_verl.types import Completion, Evaluation, Grade, Message, Problem, SamplingParams
from aflow_verl.workflow.state import WorkflowState

MAX_EXECUTOR_CALLS = 20
"""Of one workflow on one problem; AFlow's largest published workflows make about ten."""
RULES_VERSION = 1
"""Raise it when equal replies would be graded differently: stored grades of other versions don't count."""


class GradeStore(Protocol):
    """Where finished grades outlive the process."""

    def get_grades(self, state_hash: str, fingerprint: str, problem_ids: Iterable[str]) -> Mapping[str, Grade]:
        """The known grades by problem id."""
        ...

    def put_grades(self, state_hash: str, fingerprint: str, grades: Iterable[Grade]) -> None:
        """Durable when it returns."""
        ...


class Sandbox(Protocol):
    """What the engine needs of a sandbox; ``sandbox.monty.MontySandbox`` is one."""

    async def run_workflow(
        self,
        code: str,
        prompts: str,
        dataset: str,
        problem: str,
        entry_point: str | None,
        call_operator: OperatorCall,
        limits: Limits,
    ) -> RunResult: ...

    async def run_program(self, code: str, limits: Limits) -> RunResult: ...


class Evaluator:
    """Grades workflows of one benchmark with one executor. Use from one event loop."""

    def __init__(
        self,
        *,
        sandbox: Sandbox,
        model: ModelClient,
        benchmark: Benchmark,
        store: GradeStore,
        limits: Limits,
        executor: ExecutorConfig,
        evaluation: EvaluationConfig,
        max_executor_calls: int = MAX_EXECUTOR_CALLS,
        program_attempts: int | None = None,
    ) -> None:
        """``program_attempts``: tries of an operator that sees its own failure (Programmer); None is AFlow's 3 for an
        API model and 1 for the others, whose replies to an error message aren't worth their tokens."""
        self.fingerprint = grade_fingerprint(model.fingerprint, executor, limits)
        self._sandbox = sandbox
        self._model = model
        self._benchmark = benchmark
        self._store = store
        self._limits = limits
        self._executor = executor
        self._evaluation = evaluation
        self._max_executor_calls = max_executor_calls
        self._attempts = program_attempts or (3 if executor.kind == "anthropic" else 1)
        self._places = asyncio.Semaphore(executor.concurrency)
        self._in_flight: dict[tuple[str, str], asyncio.Task[Grade]] = {}
        self._counters = Counters()
        self._malformed: Counter[str] = Counter()
        self._busy_since = 0.0

    async def evaluate(self, state: WorkflowState, problems: Sequence[Problem]) -> Evaluation:
        """The workflow's grades on ``problems``, in their order.

        Raises InfrastructureError where a run could not be finished; the grades that were finished are stored, so
        asking again continues. Raises UserError where the executor refuses for good (key, model name).
        """
        known = self._store.get_grades(state.hash, self.fingerprint, [problem.id for problem in problems])
        self._count(stored=sum(problem.id in known for problem in problems))
        tasks = {p.id: self._task(state, p) for p in problems if p.id not in known}
        # Shielded: the run may have other waiters, and its grade is worth storing in any case.
        ended = await asyncio.gather(*(asyncio.shield(task) for task in tasks.values()), return_exceptions=True)
        for outcome in ended:
            if isinstance(outcome, BaseException):
                raise outcome  # only now: the other runs have ended, and what they gave is stored
        grades = {**known, **{task_id: task.result() for task_id, task in tasks.items()}}
        return Evaluation(tuple(grades[problem.id] for problem in problems))

    def counters(self) -> Counters:
        """A snapshot of the totals so far."""
        busy = time.monotonic() - self._busy_since if self._in_flight else 0.0
        return replace(self._counters, malformed_replies=self._malformed.total(), seconds=self._counters.seconds + busy)

    def malformed(self) -> dict[str, int]:
        """Unusable replies by ``operator/what``."""
        return dict(self._malformed)

    async def close(self) -> None:
        """Cancel the runs in flight; call it before the sandbox and the model are closed."""
        tasks = list(self._in_flight.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # ---- one run ----------------------------------------------------------------------------------------------------

    def _task(self, state: WorkflowState, problem: Problem) -> asyncio.Task[Grade]:
        key = (state.hash, problem.id)
        if key not in self._in_flight:
            if not self._in_flight:
                self._busy_since = time.monotonic()
            task = asyncio.ensure_future(self._grade(state, problem))
            self._in_flight[key] = task
            task.add_done_callback(lambda done: self._forget(key, done))
        return self._in_flight[key]

    def _forget(self, key: tuple[str, str], done: asyncio.Task[Grade]) -> None:
        del self._in_flight[key]
        if not self._in_flight:
            self._count(seconds=time.monotonic() - self._busy_since)
        if not done.cancelled():
            done.exception()  # marks it as seen where every waiter has given up

    async def _grade(self, state: WorkflowState, problem: Problem) -> Grade:
        calls, result = await with_retries(
            lambda: self._run(state, problem),
            retries=self._evaluation.retries,
            backoff_s=self._evaluation.backoff_s,
            on=SandboxUnavailable,
            failed=self._note_failure,
        )
        error = calls.fault or result.error
        answer = "" if error else str(result.value)[: self._limits.max_output_chars]
        grade = Grade(
            problem_id=problem.id,
            score=0.0 if error else await asyncio.to_thread(self._benchmark.grade, problem, answer),
            answer=answer,
            error=error,
            calls=len(calls.completions),
            cost_usd=sum(c.usage.cost_usd or 0.0 for c in calls.completions if not c.cached),
        )
        self._store.put_grades(state.hash, self.fingerprint, [grade])
        self._count(runs=1, faults=int(error is not None))
        return grade

    async def _run(self, state: WorkflowState, problem: Problem) -> tuple[ExecutorCalls, RunResult]:
        calls = ExecutorCalls(self._complete, self._executor, self._max_executor_calls)
        programs: ProgramRunner = self._run_program
        call_operator = operator_caller(state.operators, calls, programs, self._malformed, attempts=self._attempts)
        result = await self._sandbox.run_workflow(
            state.code, state.prompts, state.dataset, problem.prompt, problem.entry_point, call_operator, self._limits
        )
        return calls, result

    async def _run_program(self, code: str) -> RunResult:
        return await self._sandbox.run_program(code, self._limits)

    async def _complete(self, messages: Sequence[Message], params: SamplingParams) -> Completion:
        """One executor call, with retries, in one of the executor's places."""

        async def attempt() -> Completion:
            async with self._places:
                return await self._model.complete(messages, params)

        completion = await with_retries(
            attempt,
            retries=self._evaluation.retries,
            backoff_s=self._evaluation.backoff_s,
            on=ModelUnavailable,
            failed=self._note_failure,
        )
        fresh = not completion.cached
        cost = completion.usage.cost_usd
        self._count(
            calls=1,
            model_calls=int(fresh),
            unpriced_calls=int(fresh and cost is None),
            cost_usd=(cost or 0.0) if fresh else 0.0,
        )
        return completion

    def _note_failure(self, failure: InfrastructureError) -> None:
        self._count(infrastructure_failures=1)

    def _count(self, **more: float) -> None:
        self._counters = replace(
            self._counters, **{name: getattr(self._counters, name) + value for name, value in more.items()}
        )


def grade_fingerprint(model: str, executor: ExecutorConfig, limits: Limits) -> str:
    """Everything but workflow and problem that a grade depends on: model, sampling, limits, our rules."""
    sampling = (executor.temperature, executor.resample_temperature, executor.max_tokens)
    digest = hashlib.sha256(repr((model, sampling, asdict(limits), RULES_VERSION)).encode())
    return digest.hexdigest()[:16]
