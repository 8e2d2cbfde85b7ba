"""Our own small programs that handle a model's text, run where they do no harm and take no more than their limits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from aflow_verl.errors import SandboxUnavailable
from aflow_verl.sandbox.base import ProgramSandbox
from aflow_verl.sandbox.limits import Limits

_ABSENT = "No module named"


async def call_sandboxed(
    programs: ProgramSandbox, benchmark: str, module: str, function: str, data: Mapping[str, Any], limits: Limits
) -> Any:
    """``function(**data)`` of a module of this package, whose source is the program; ``data`` is plain JSON.

    None where it failed or took too long: that is the text's fault. Raises SandboxUnavailable, not retryable where the
    sandbox lacks a package that the module imports, so that no grade is quietly made without it.
    """
    # The text enters as a literal: nothing of it is part of the program.
    call = f"import json as _json\n{function}(**_json.loads({json.dumps(json.dumps(data))}))\n"
    result = await programs.run_program(f"{_source(module)}\n{call}", limits)
    if result.error is not None and _ABSENT in result.error:
        raise SandboxUnavailable(
            f"benchmark {benchmark}: grading needs sandbox.programs=process ({result.error})", retryable=False
        )
    return None if result.error is not None else result.value


@cache
def _source(module: str) -> str:
    return files(__package__).joinpath(f"{module}.py").read_text(encoding="utf-8")
