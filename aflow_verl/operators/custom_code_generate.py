"""CustomCodeGenerate: a Python solution under an instruction."""

from __future__ import annotations

from typing import Any

from aflow_verl.operators.base import Operator, user
from aflow_verl.operators.solutions import defines, find_program


class CustomCodeGenerate(Operator):
    """Prose, trials and tests around the solution are dropped: the response is what ``entry_point`` needs.

    A reply without a program is returned as it is and counted (``no_code``). A program that doesn't define
    ``entry_point`` is returned whole and counted as well (``entry_point``).
    """

    name = "CustomCodeGenerate"
    description = "Writes Python code for the problem as the instruction says."
    interface = (
        "custom_code_generate(problem: str, entry_point: str, instruction: str) -> dict with key 'response' of type str"
    )

    async def run(self, problem: str, entry_point: str, instruction: str = "") -> dict[str, Any]:
        head = f"{str(instruction).strip()}\n\n" if str(instruction).strip() else ""
        request = f"Reply with Python code only: complete, with its imports, defining {entry_point}."
        reply = await self._model([user(f"{head}{problem}\n\n{request}")])
        program = find_program(reply, str(entry_point))
        if program is None:
            self._count("no_code")
            return {"response": reply.strip()}
        if not defines(program, str(entry_point)):
            self._count("entry_point")
        return {"response": program}
