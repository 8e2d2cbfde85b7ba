"""The operators by name. To add one: a file beside this, and a line here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aflow_verl.errors import InvalidAction, RecipeError
from aflow_verl.operators.answer_generate import AnswerGenerate
from aflow_verl.operators.base import Operator, OperatorContext
from aflow_verl.operators.custom import Custom
from aflow_verl.operators.custom_code_generate import CustomCodeGenerate
from aflow_verl.operators.format import Format
from aflow_verl.operators.md_ensemble import MdEnsemble
from aflow_verl.operators.programmer import Programmer
from aflow_verl.operators.review import Review
from aflow_verl.operators.revise import Revise
from aflow_verl.operators.sc_ensemble import ScEnsemble
from aflow_verl.operators.test import Test
from aflow_verl.types import OperatorInfo

OPERATORS: dict[str, type[Operator]] = {
    "Custom": Custom,
    "AnswerGenerate": AnswerGenerate,
    "CustomCodeGenerate": CustomCodeGenerate,
    "ScEnsemble": ScEnsemble,
    "MdEnsemble": MdEnsemble,
    "Programmer": Programmer,
    "Test": Test,
    "Format": Format,
    "Review": Review,
    "Revise": Revise,
}


def operator_infos(names: Sequence[str]) -> tuple[OperatorInfo, ...]:
    """What the policy is shown of these operators. Raises RecipeError for an unknown one."""
    return tuple(operator_class(name).info() for name in names)


def operator_class(name: str) -> type[Operator]:
    """Raises RecipeError for an unknown name."""
    if name not in OPERATORS:
        raise RecipeError(f"env.operators: no operator {name!r}; there are {', '.join(OPERATORS)}")
    return OPERATORS[name]


def operator_caller(
    names: Sequence[str], context: OperatorContext
) -> Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]:
    """What a sandboxed workflow calls out with: operator name and arguments in, result out.

    Calling an operator that is not among ``names`` is the workflow's fault: InvalidAction (``unknown_operator``).
    """
    operators = {name: operator_class(name)(context) for name in names}

    async def call(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        if name not in operators:
            raise InvalidAction("unknown_operator", f"no operator {name!r}; there are {', '.join(operators)}")
        return await operators[name](**arguments)

    return call
