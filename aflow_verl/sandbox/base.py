"""What a sandbox offers: run code that a model wrote, within limits, and say what came of it.

Two kinds of code: a workflow calls operators and is run by a ``WorkflowSandbox``; a program computes something and is
run by a ``ProgramSandbox``. In both, a fault of the code is a ``RunResult`` with ``error``, and a failure of the
sandbox itself raises ``SandboxUnavailable``: the first is graded, the second is tried again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from aflow_verl.sandbox.bridge import OperatorCall
from aflow_verl.sandbox.limits import Limits
from aflow_verl.sandbox.result import RunResult

HostCall = Callable[[str], Awaitable[str]]
"""The one way out of a program: its function ``host_call(text)`` returns what this makes of the text."""


class WorkflowSandbox(Protocol):
    """Runs AFlow graphs; ``sandbox.monty.MontySandbox`` is one."""

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
        """One run of a graph on one problem; ``value`` is its answer."""
        ...


class ProgramSandbox(Protocol):
    """Runs Python programs. Runs may be concurrent and share nothing."""

    name: str
    """The backend, for reports and cache keys."""
    supports_calls: bool
    """Whether programs can call out (``HostCall``)."""

    async def run_program(self, code: str, limits: Limits, *, call: HostCall | None = None) -> RunResult:
        """Run ``code``. ``value`` is that of its last expression, else of ``solve()`` if it defines that, else what its
        last statement assigns; ``stdout`` is what it printed.

        Raises SandboxUnavailable, also for ``call`` where calls are not supported.
        """
        ...

    async def close(self) -> None:
        """Ends all processes. Idempotent."""
        ...
