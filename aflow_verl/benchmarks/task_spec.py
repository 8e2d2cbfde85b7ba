"""How a recipe names a task of a task collection: ``name`` or ``name(setting=value, ...)``."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aflow_verl.errors import RecipeError

_SPEC = re.compile(r"\s*(\w+)\s*(?:\((.*)\))?\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """One task of a recipe."""

    name: str
    settings: Mapping[str, Any]


def parse_task(text: str) -> TaskSpec:
    """Settings are named, their values Python literals; ``seed`` and ``size`` are not the recipe's to set.

    Raises:
        RecipeError: the text is something else. Whether the task exists is not looked up.
    """
    match = _SPEC.fullmatch(text)
    if match is None:
        raise RecipeError(f"benchmark.tasks: {text!r} is neither name nor name(setting=value, ...)")
    name, arguments = match.groups()
    try:
        call = ast.parse(f"f({arguments or ''})", mode="eval").body
        assert isinstance(call, ast.Call)
        settings = {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
    except (SyntaxError, ValueError):
        raise RecipeError(
            f"benchmark.tasks: {text!r}: settings must read name=value, values plain numbers or texts"
        ) from None
    if call.args or "None" in settings or {"seed", "size"} & settings.keys():
        raise RecipeError(f"benchmark.tasks: {text!r}: only named settings other than seed and size")
    return TaskSpec(name, settings)


def composite_parts(spec: TaskSpec) -> dict[str, dict[str, Any]]:
    """Name -> name, weight and config of each part of the mixture ``composite(datasets=[...])``; none for other tasks.

    A part is a name, or a mapping with name and perhaps weight and config. Raises ``RecipeError`` for anything else.
    """
    if spec.name != "composite":
        return {}
    given = spec.settings.get("datasets")
    if not isinstance(given, list | tuple) or not given:
        raise RecipeError("benchmark.tasks: composite needs datasets, for example composite(datasets=['gcd', 'lcm'])")
    parts: dict[str, dict[str, Any]] = {}
    for part in given:
        values = {"name": part} if isinstance(part, str) else part
        if not isinstance(values, dict) or not {"name"} <= values.keys() <= {"name", "weight", "config"}:
            raise RecipeError(f"benchmark.tasks: composite: {part!r} is neither a name nor name, weight and config")
        parts[str(values["name"])] = {"weight": 1.0, "config": {}, **values}
    return parts


def verified_tasks(specs: Iterable[TaskSpec]) -> list[str]:
    """Names of the tasks whose verifiers are asked: of a mixture, its parts."""
    return [name for spec in specs for name in (composite_parts(spec) or (spec.name,))]
