"""Test: runs a solution on the problem's public examples, and has the model repair it."""

from __future__ import annotations

from typing import Any

from aflow_verl.errors import InvalidAction
from aflow_verl.operators.base import Operator, user
from aflow_verl.operators.public_tests import check_program, failures
from aflow_verl.operators.solutions import defines, find_program, syntax_error

MAX_ROUNDS = 10
"""Of repairs that a workflow can ask for; AFlow's default is 3."""


class Test(Operator):
    """``solution`` is the last one tried, ``result`` whether it passes. Each round is one program and one model call.

    Only the public examples are run, never a test that scores the problem. Where a problem has none, a solution passes
    that parses and defines ``entry_point``. A repair without a program is counted (``no_code``) and changes nothing.
    """

    name = "Test"
    description = (
        "Runs the solution on the problem's public examples and repairs it up to three times. The result says whether "
        "the returned solution passes."
    )
    interface = (
        "test(problem: str, solution: str, entry_point: str) -> dict with key 'result' of type bool and key 'solution' "
        "of type str"
    )
    __test__ = False  # its name makes test runners collect it

    async def run(self, problem: str, solution: str, entry_point: str, test_loop: int = 3) -> dict[str, Any]:
        if not isinstance(test_loop, int) or not 0 <= test_loop <= MAX_ROUNDS:
            raise InvalidAction("operator_arguments", f"Test: test_loop must be a number from 0 to {MAX_ROUNDS}")
        text, name = str(solution), str(entry_point)
        for _ in range(test_loop):
            problems = await self._failures(text, name)
            if not problems:
                return {"result": True, "solution": text}
            text = await self._repaired(str(problem), text, name, problems)
        return {"result": not await self._failures(text, name), "solution": text}

    async def _failures(self, solution: str, entry_point: str) -> list[str]:
        """What is wrong with a solution, a line each; none if nothing is."""
        error = syntax_error(solution)
        if error is not None:
            return [error]
        if not defines(solution, entry_point):
            return [f"it doesn't define {entry_point}"]
        if not self._public_tests:
            return []
        result = await self._programs(check_program(solution, self._public_tests))
        return failures(result, self._public_tests)

    async def _repaired(self, problem: str, solution: str, entry_point: str, problems: list[str]) -> str:
        found = "\n".join(f"- {line}" for line in problems)
        code = f"This solution fails:\n```python\n{solution.strip()}\n```"
        request = (
            "Say in a sentence or two why, then give the whole corrected code in one ```python block, without tests."
        )
        must = f"It has to define {entry_point}."
        reply = await self._model([user(f"{problem}\n\n{code}\n\nWhat went wrong:\n{found}\n\n{request} {must}")])
        program = find_program(reply, entry_point)
        if program is None:
            self._count("no_code")
        return program or solution
