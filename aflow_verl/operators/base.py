"""What an operator is: a named way of calling the executor, with AFlow's arguments and result keys."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

from aflow_verl.errors import InvalidAction
from aflow_verl.sandbox.result import RunResult
from aflow_verl.sandbox.source import POSITIONAL
from aflow_verl.types import Message, OperatorInfo


class ModelCall(Protocol):
    """One call of the executor within one workflow run; who supplies it counts, samples, caches and retries."""

    async def __call__(self, messages: Sequence[Message]) -> str: ...


class ProgramRunner(Protocol):
    """Runs one small program in a sandbox, within its caller's limits."""

    async def __call__(self, code: str) -> RunResult: ...


class Operator(ABC):
    """Base of the operators. A subclass sets the three class variables and writes ``run``.

    ``run``'s parameters are what a workflow passes. A broken model reply has a defined result and adds one to
    ``malformed["<operator>/<what>"]``; a wrong call is the workflow's fault and raises InvalidAction.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    interface: ClassVar[str]

    def __init__(
        self, model: ModelCall, programs: ProgramRunner, malformed: Counter[str], *, attempts: int = 1
    ) -> None:
        self._model = model
        self._programs = programs
        self._malformed = malformed
        self._attempts = attempts
        """Tries of an operator that can see its own failure (AFlow's Programmer has 3)."""

    async def __call__(self, **kwargs: Any) -> dict[str, Any]:
        """Checks the arguments against ``run`` and runs it. Raises InvalidAction (``operator_arguments``)."""
        positional = kwargs.pop(POSITIONAL, ())
        try:
            bound = inspect.signature(self.run).bind(*positional, **kwargs)
        except TypeError as error:
            raise InvalidAction("operator_arguments", f"{self.name}: {error}") from None
        return await self.run(*bound.args, **bound.kwargs)

    @abstractmethod
    async def run(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The operator itself. Each has its own parameters and result keys, named as in AFlow."""

    @classmethod
    def info(cls) -> OperatorInfo:
        """What the policy is shown."""
        return OperatorInfo(cls.name, cls.description, cls.interface)

    def _count(self, what: str) -> None:
        self._malformed[f"{self.name}/{what}"] += 1


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def assistant(text: str) -> Message:
    return {"role": "assistant", "content": text}
