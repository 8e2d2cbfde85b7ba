"""The one way out of a sandboxed workflow: calling an operator, counted and bounded."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Any

from aflow_verl.errors import InvalidAction
from aflow_verl.sandbox.limits import Limits
from aflow_verl.sandbox.result import as_plain
from aflow_verl.sandbox.source import POSITIONAL

OperatorCall = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]
"""Runs one operator by name on its arguments. Positional arguments come under the key ``POSITIONAL``."""

MAX_ARGUMENT_CHARS = 100_000
"""Of all arguments of one operator call together."""


class Bridge:
    """The one function that a workflow can call out with."""

    def __init__(self, call_operator: OperatorCall, limits: Limits) -> None:
        self._call_operator = call_operator
        self._calls_left = limits.max_calls
        self._max_calls = limits.max_calls
        self.failure: BaseException | None = None

    async def __call__(self, name: str, args: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
        if self.failure is not None:
            raise RuntimeError("the run is over")
        self._calls_left -= 1
        if self._calls_left < 0:
            raise RuntimeError(f"more than {self._max_calls} operator calls")
        arguments = as_plain({**kwargs, **({POSITIONAL: list(args)} if args else {})}, sys.maxsize)
        if _text_length(arguments) > MAX_ARGUMENT_CHARS:
            raise TypeError(f"{name}: arguments longer than {MAX_ARGUMENT_CHARS} characters")
        try:
            return await self._call_operator(name, arguments)
        except InvalidAction as fault:
            raise TypeError(str(fault)) from fault
        except Exception as failure:
            self.failure = failure
            raise RuntimeError("operator failed") from failure


def _text_length(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(map(_text_length, value.values()))
    return sum(map(_text_length, value)) if isinstance(value, list | tuple) else 8
