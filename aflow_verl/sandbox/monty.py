"""Workflow code and small programs in pydantic-monty: a Python interpreter written in Rust, in worker processes.

What it stops, each with a test: endless loops and recursion, memory bombs, floods of output, values and arguments of
calls that are small inside and enormous when copied out (``monty_source``), reading or writing files, environment
variables, processes, sockets, third-party and most standard modules, object introspection (``__class__``,
``__subclasses__``), more operator calls than allowed, leaving anything to the next run. A worker starts with an empty
environment, so it holds no key to leak. A worker that dies is replaced and no other run notices.

What it does not stop: bugs of the interpreter itself (there is no second jail around the worker process); a workflow
that tells secrets of its *inputs* to an operator; time spent inside operators (the caller bounds its model calls). A
worker keeps the memory of its largest run, so all together hold ``workers * memory_mb`` at most.

What the language lacks (version 1.4): class inheritance, metaclasses, nested classes, method decorators, generators,
async for, ``del``, own exception classes, ``super``, ``globals``; modules beyond re, math, json, random, asyncio
(gather and sleep), collections, itertools, functools, datetime, time, decimal, copy, typing, dataclasses.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType, TracebackType
from typing import Any, Self

import pydantic_monty as pm

from aflow_verl.errors import SandboxUnavailable
from aflow_verl.sandbox.base import HostCall
from aflow_verl.sandbox.bridge import Bridge, OperatorCall
from aflow_verl.sandbox.host_call import BoundedCall
from aflow_verl.sandbox.limits import Limits
from aflow_verl.sandbox.monty_session import OS_POLICY, Call, readable, resource_limits, run_to_the_end
from aflow_verl.sandbox.monty_source import Names, calls_together, guarded
from aflow_verl.sandbox.result import RunResult, as_plain, one_line
from aflow_verl.sandbox.source import DATASET, ENTRY_POINT, PROBLEM, program_source, workflow_source
from aflow_verl.workflow.graph_source import UNPARSABLE

_FLOOD_BYTES = 1 << 20
_SETTLE_S = 0.2


class MontySandbox:
    """A pool of interpreter workers. Use as an async context manager; runs may be concurrent.

    A workflow holds its worker while its operators work, so ``workers`` bounds the workflows in flight (a worker costs
    about 1 MB of its own). Programs, which operators of those workflows wait for, have workers of their own:
    with one pool for both, workflows holding all workers would wait for ever.
    """

    name = "monty"
    supports_calls = True

    def __init__(self, workers: int = 32, program_workers: int = 2) -> None:
        self._workers = workers
        self._program_workers = program_workers
        self._workflows: pm.AsyncMonty | None = None
        self._programs: pm.AsyncMonty | None = None
        self._crashes: Counter[str] = Counter()

    async def __aenter__(self) -> Self:
        try:
            self._workflows = await pm.AsyncMonty(max_processes=self._workers).__aenter__()
            self._programs = await pm.AsyncMonty(max_processes=self._program_workers).__aenter__()
        except (OSError, pm.MontyError) as error:
            await self.close()
            raise SandboxUnavailable(f"monty's workers don't start: {error}", retryable=False) from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the workers. Idempotent.

        Monty's runtime threads release Python objects a moment after the pool has closed; an interpreter that exits in
        that moment aborts. So everything is collected here and the threads get time to finish.
        """
        pools = [pool for pool in (self._workflows, self._programs) if pool is not None]
        self._workflows = self._programs = None
        for pool in pools:
            await pool.__aexit__(None, None, None)
        if pools:
            gc.collect()
            await asyncio.sleep(_SETTLE_S)

    async def run_workflow(
        self,
        code: str,
        prompts: str,
        dataset: str,
        problem: str,
        entry_point: str | None,
        call_operator: OperatorCall,
        limits: Limits,
    ) -> RunResult:
        """One run of an AFlow graph. ``value`` is the answer: the first part of ``(answer, cost)``, or a bare answer.

        InvalidAction from ``call_operator`` is the workflow's fault and reaches its code as a TypeError; any other
        exception is raised here after the run, whatever the workflow did about it. Raises SandboxUnavailable.
        """
        try:
            source = workflow_source(code, prompts, with_entry_point=entry_point is not None)
        except UNPARSABLE as error:
            return RunResult(error=_own_fault(error))
        names, bridge = Names.unguessable(), Bridge(call_operator, limits)
        inputs = {PROBLEM: problem, ENTRY_POINT: entry_point, DATASET: dataset}
        calls = {names.call: bridge}
        answered = {"external": calls} if calls_together(source) else {"waited_for": calls}
        result = await self._run(self._workflows, source, limits, names, inputs=inputs, **answered)
        if bridge.failure is not None:
            raise bridge.failure
        return result if result.error else _answer_of(result)

    async def run_program(self, code: str, limits: Limits, *, call: HostCall | None = None) -> RunResult:
        """One expression or program without operators; see ``program_source`` for its value.

        The program waits for ``host_call``; no two of its calls run together. An exception of ``call`` is raised here
        after the run, whatever the program did about it.
        """
        try:
            source = program_source(code)
        except ValueError as error:
            return RunResult(error=_own_fault(error))
        names = Names.unguessable()
        bounded = None if call is None else BoundedCall(call, limits)
        waited_for = {} if bounded is None else {names.host_call: bounded}
        result = await self._run(self._programs, source, limits, names, waited_for=waited_for)
        if bounded is not None and bounded.failure is not None:
            raise bounded.failure
        return result

    async def _run(
        self,
        pool: pm.AsyncMonty | None,
        source: str,
        limits: Limits,
        names: Names,
        *,
        inputs: Mapping[str, Any] = MappingProxyType({}),
        external: Mapping[str, Call] = MappingProxyType({}),
        waited_for: Mapping[str, Call] = MappingProxyType({}),
    ) -> RunResult:
        if pool is None:
            raise SandboxUnavailable("the sandbox is not open", retryable=False)
        printed = pm.CollectString(max_bytes=_FLOOD_BYTES)
        value, error = None, None
        try:
            async with pool.checkout(limits=resource_limits(limits), os_policy=OS_POLICY) as session:
                raw = await run_to_the_end(
                    session,
                    guarded(source, names, limits),
                    printed,
                    inputs=inputs,
                    external=external,
                    waited_for=waited_for,
                )
            value = as_plain(raw, limits.max_output_chars)
        except pm.MontyCrashedError as crash:
            error = self._blame(source, crash)
        except (pm.MontySyntaxError, pm.MontyRuntimeError) as fault:
            error = readable(fault, names)
        except (pm.MontyConversionError, ValueError, OverflowError, RecursionError) as fault:
            error = f"the result can't be returned: {one_line(str(fault))}"
        except (OSError, pm.MontyError) as failure:
            raise SandboxUnavailable(f"monty failed: {one_line(str(failure))}") from failure
        return RunResult(value, printed.output[: limits.max_output_chars], error)

    def _blame(self, source: str, crash: pm.MontyCrashedError) -> str:
        """A worker killed by its watchdog, or twice by the same code, is the code's fault; once may be bad luck."""
        key = hashlib.sha256(source.encode(errors="replace")).hexdigest()
        self._crashes[key] += 1
        if crash.timed_out or self._crashes[key] > 1:
            return f"the interpreter died: {one_line(str(crash))}"
        raise SandboxUnavailable(f"a monty worker died: {one_line(str(crash))}") from crash


def _answer_of(result: RunResult) -> RunResult:
    value = result.value
    if isinstance(value, tuple) and len(value) == 2:
        value = value[0]
    if value is None:
        return RunResult(None, result.stdout, "the workflow returned None")
    return RunResult(value, result.stdout)


def _own_fault(error: BaseException) -> str:
    return one_line(f"{type(error).__name__}: {error}")
