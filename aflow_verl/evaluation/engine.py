"""Runs workflows on problems and grades the answers, for all benchmarks of a run at once.

All problems of all evaluations in flight share the workflow places, the programs' sandbox and the model's client, which
bounds the calls in flight; who asks first is served first. Equal work is done once: a finished grade is stored before
it is returned, and an equal run in flight is waited for. A workflow's own fault is a grade of 0 with its reason. A
failure of the infrastructure that outlasts the retries leaves a problem missing; it is never graded.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

from aflow_verl.benchmarks.base import Benchmark
from aflow_verl.config import EvaluationConfig, ModelConfig, SandboxConfig
from aflow_verl.errors import InfrastructureError, ModelUnavailable, SandboxUnavailable, StorageError, UserError
from aflow_verl.evaluation.counters import Counters, Counting
from aflow_verl.evaluation.dry_run import dry_run
from aflow_verl.evaluation.fingerprint import Fingerprints
from aflow_verl.evaluation.grades import Grades, GradeStore, Shelf
from aflow_verl.evaluation.run import Runner
from aflow_verl.models.client import ModelClient
from aflow_verl.models.tallies import Tallies
from aflow_verl.sandbox.base import ProgramSandbox, WorkflowSandbox
from aflow_verl.sandbox.limits import Limits
from aflow_verl.types import Evaluation, Grade, Problem
from aflow_verl.workflow.state import WorkflowState

MAX_EXECUTOR_CALLS = 20
"""Of one workflow on one problem; AFlow's largest published workflows make about ten."""
API_ATTEMPTS = 3
"""Of an operator that sees its own failure (Programmer), as in AFlow; other models' replies to an error message aren't
worth their tokens, so they have one."""
API_KINDS = ("anthropic", "openai")
DRAIN_S = 10.0
"""How long closing waits for runs in flight: their calls may be paid for already."""
Outcome = Grade | InfrastructureError
"""Of one run."""


class Engine:
    """See the module's docstring. Use from one event loop; calls may be concurrent."""

    def __init__(
        self,
        *,
        workflows: WorkflowSandbox,
        programs: ProgramSandbox,
        model: ModelClient,
        store: GradeStore,
        limits: Limits,
        program_limits: Limits,
        executor: ModelConfig,
        evaluation: EvaluationConfig,
        tallies: Tallies | None = None,
        workers: int = SandboxConfig.workers,
        max_executor_calls: int = MAX_EXECUTOR_CALLS,
        program_attempts: int | None = None,
    ) -> None:
        """``tallies``: where the model's client counts its failures. ``workers``: workflows in flight, at most.
        ``program_attempts``: None is ``API_ATTEMPTS`` for an API model and 1 for the others."""
        attempts = program_attempts or (API_ATTEMPTS if executor.kind in API_KINDS else 1)
        self._counting = Counting()
        self._runner = Runner(
            workflows,
            programs,
            model,
            limits,
            program_limits,
            executor,
            evaluation,
            max_executor_calls,
            attempts,
            self._counting,
        )
        self._fingerprints = Fingerprints(executor, limits, program_limits, programs.name, max_executor_calls, attempts)
        self._grades = Grades(store)
        self._tallies = tallies or Tallies()
        self._places = asyncio.Semaphore(workers)  # first come, first served
        self._in_flight: dict[tuple[Shelf, str], asyncio.Task[Outcome]] = {}
        self._running: Counter[Shelf] = Counter()
        """Runs in flight whose grade is not there yet."""
        self._stopped: UserError | StorageError | None = None
        self._seconds = 0.0
        self._busy_since = 0.0

    async def evaluate(self, workflow: WorkflowState, problems: Sequence[Problem], benchmark: Benchmark) -> Evaluation:
        """The workflow's grades on ``problems``, in their order; those that could not be had are missing.

        Raises UserError as soon as the model refuses for good (key, budget) and StorageError as soon as the store
        does, and from then on for all that isn't known yet: nothing more is paid for. What had begun ends, and is kept.
        """
        shelf = (workflow.hash, self._fingerprints.of(self._runner.model.fingerprint))
        ids = [problem.id for problem in problems]
        known = self._grades.recall(shelf, ids)
        if len(known) < len(ids):
            await self._grades.look_up(shelf, [problem_id for problem_id in ids if problem_id not in known])
            known = self._grades.recall(shelf, ids)  # what was finished meanwhile included
        self._counting.totals["stored"] += len(known)
        ended: dict[str, Outcome] = dict(known)
        if len(known) < len(ids):
            tasks = {p.id: self._task(shelf, workflow, p, benchmark) for p in problems if p.id not in known}
            # A run may have other waiters, and its grade is worth storing in any case: waiting never cancels it.
            done, _ = await asyncio.wait(tasks.values(), return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()  # raises what stopped it
            ended |= {problem_id: task.result() for problem_id, task in tasks.items()}
        return _evaluation(ids, ended)

    async def dry_run(self, workflow: WorkflowState, problem: Problem) -> str | None:
        """Why the workflow fails on a stub executor, before anything is paid for it; None where it doesn't.

        Raises SandboxUnavailable.
        """
        async with self._places:
            return await dry_run(self._runner, workflow, problem)

    def counters(self) -> Counters:
        """A snapshot of the totals so far."""
        busy = time.monotonic() - self._busy_since if self._in_flight else 0.0
        return self._counting.so_far(self._seconds + busy, self._tallies.as_dict())

    def malformed(self) -> dict[str, int]:
        """Unusable replies by ``operator/what``."""
        return dict(self._counting.malformed)

    async def close(self, drain_s: float = DRAIN_S) -> None:
        """Let runs in flight end for up to ``drain_s``, then cancel them; close sandboxes and model afterwards."""
        self._stopped = self._stopped or UserError("the evaluation engine is closed")
        tasks = list(self._in_flight.values())
        if tasks:
            await asyncio.wait(tasks, timeout=drain_s)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._grades.close()

    # ---- runs -------------------------------------------------------------------------------------------------------

    def _task(
        self, shelf: Shelf, workflow: WorkflowState, problem: Problem, benchmark: Benchmark
    ) -> asyncio.Task[Outcome]:
        key = (shelf, problem.id)
        if key not in self._in_flight:
            if not self._in_flight:
                self._busy_since = time.monotonic()
            task = asyncio.ensure_future(self._run(shelf, workflow, problem, benchmark))
            self._in_flight[key] = task
            self._running[shelf] += 1
            task.add_done_callback(lambda done: self._forget(key, done))
        return self._in_flight[key]

    def _forget(self, key: tuple[Shelf, str], done: asyncio.Task[Outcome]) -> None:
        del self._in_flight[key]
        if not self._running[key[0]]:
            del self._running[key[0]]
        if not self._in_flight:
            self._seconds += time.monotonic() - self._busy_since
        if not done.cancelled():
            done.exception()  # marks it as seen where every waiter has given up

    async def _run(self, shelf: Shelf, workflow: WorkflowState, problem: Problem, benchmark: Benchmark) -> Outcome:
        totals = self._counting.totals
        try:
            try:
                grade = await self._graded(workflow, problem, benchmark)
            finally:
                self._running[shelf] -= 1
            if self._fingerprints.of(self._runner.model.fingerprint) != shelf[1]:
                raise ModelUnavailable("the model has changed during the run")  # nobody can say which one has answered
            await self._grades.put(shelf, grade, last=not self._running[shelf])
        except (ModelUnavailable, SandboxUnavailable) as failure:
            totals["missing"] += 1
            return failure
        except (UserError, StorageError) as refusal:
            self._stopped = self._stopped or refusal
            raise
        totals["runs"] += 1
        totals["faults"] += grade.error is not None
        return grade

    async def _graded(self, workflow: WorkflowState, problem: Problem, benchmark: Benchmark) -> Grade:
        async with self._places:
            if self._stopped is not None:
                raise self._stopped.with_traceback(None)
            answer = await self._runner.answer(workflow, problem)
        return await self._runner.grade(problem, answer, benchmark)


def _evaluation(ids: Sequence[str], ended: dict[str, Outcome]) -> Evaluation:
    outcomes = [ended[problem_id] for problem_id in ids]
    grades = tuple(outcome for outcome in outcomes if isinstance(outcome, Grade))
    if len(grades) == len(ids):
        return Evaluation(grades)
    missing = tuple(problem_id for problem_id in ids if not isinstance(ended[problem_id], Grade))
    return Evaluation(grades, missing, str(ended[missing[0]]))
