"""The one way out of a sandboxed program: ``host_call(text)``, counted and bounded."""

from __future__ import annotations

from typing import Any

from aflow_verl.sandbox.base import HostCall
from aflow_verl.sandbox.bridge import MAX_ARGUMENT_CHARS
from aflow_verl.sandbox.limits import Limits

HOST_CALL = "host_call"
"""The function's name inside a program."""


class BoundedCall:
    """The host's end of ``host_call`` in one run."""

    def __init__(self, call: HostCall, limits: Limits) -> None:
        self._call = call
        self._calls_left = limits.max_calls
        self._max_calls = limits.max_calls
        self.failure: Exception | None = None
        """What the host's function raised: not the program's fault."""

    async def __call__(self, *arguments: Any) -> str:
        """The answer. Raises RuntimeError and TypeError, for the program, where it may not call or calls wrongly."""
        if self.failure is not None:
            raise RuntimeError("the run is over")
        self._calls_left -= 1
        if self._calls_left < 0:
            raise RuntimeError(f"more than {self._max_calls} calls of {HOST_CALL}")
        if len(arguments) != 1 or not isinstance(arguments[0], str):
            raise TypeError(f"{HOST_CALL} takes one text")
        if len(arguments[0]) > MAX_ARGUMENT_CHARS:
            raise TypeError(f"{HOST_CALL}: a text longer than {MAX_ARGUMENT_CHARS} characters")
        try:
            return await self._call(arguments[0])
        except Exception as failure:
            self.failure = failure
            raise RuntimeError(f"{HOST_CALL} failed") from failure
