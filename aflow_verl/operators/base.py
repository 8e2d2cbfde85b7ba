"""What an operator is: a named way of calling the executor, with AFlow's arguments and result keys."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Protocol

from aflow_verl.errors import InvalidAction
from aflow_verl.sandbox.prelude import OPTIONS
from aflow_verl.sandbox.result import RunResult
from aflow_verl.sandbox.source import POSITIONAL
from aflow_verl.types import Message, OperatorInfo


class ModelCall(Protocol):
    """One call of the executor within one workflow run; who supplies it counts, samples, caches and retries."""

    async def __call__(self, messages: Sequence[Message]) -> str: ...


class ProgramRunner(Protocol):
    """Runs one small program in a sandbox, within its caller's limits."""

    async def __call__(self, code: str) -> RunResult: ...


@dataclass(frozen=True)
class OperatorContext:
    """What the operators of one workflow run on one problem may touch."""

    model: ModelCall
    programs: ProgramRunner
    malformed: Counter[str]
    """Unusable replies are counted here, as ``<operator>/<what>``."""
    attempts: int = 1
    """Tries of an operator that can see its own failure (AFlow's Programmer has 3)."""
    public_tests: tuple[str, ...] = ()
    """The problem's public examples as statements (``Problem.public_tests``)."""


class Operator(ABC):
    """Base of the operators. A subclass sets the three class variables and writes ``run``.

    ``run``'s parameters are what a workflow passes. A broken model reply has a defined result and is counted; a wrong
    call is the workflow's fault and raises InvalidAction.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    interface: ClassVar[str]

    def __init__(self, context: OperatorContext) -> None:
        self._model = context.model
        self._programs = context.programs
        self._malformed = context.malformed
        self._attempts = context.attempts
        self._public_tests = context.public_tests

    async def __call__(self, **kwargs: Any) -> dict[str, Any]:
        """Checks the arguments against ``run`` and runs it. Raises InvalidAction (``operator_arguments``).

        What a graph gave to the operator's constructor is the default of the argument of that name, if there is one.
        """
        signature, named, required = _signature(type(self))
        if required <= kwargs.keys() <= named:  # the usual call, where nothing has to be put in order
            return await self.run(**kwargs)
        positional, options = kwargs.pop(POSITIONAL, ()), kwargs.pop(OPTIONS, {})
        try:
            bound = signature.bind(*positional, **kwargs)
            given = {**options, **bound.arguments}
        except TypeError as error:
            raise InvalidAction("operator_arguments", f"{self.name}: {error}") from None
        bound.arguments = {name: given[name] for name in signature.parameters if name in given}
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


@cache
def _signature(operator: type[Operator]) -> tuple[inspect.Signature, frozenset[str], frozenset[str]]:
    """Of ``run``, without ``self``; the parameters that can be given by name; those that must be given."""
    whole = inspect.signature(operator.run)
    parameters = list(whole.parameters.values())[1:]
    named = frozenset(p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    required = frozenset(p.name for p in parameters if p.default is p.empty and p.kind not in variable)
    return whole.replace(parameters=parameters), named, required


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def assistant(text: str) -> Message:
    return {"role": "assistant", "content": text}
