"""MBPP: AFlow's rows with fields ``prompt, entry_point, code, test``, and the official ones with ``test_list``.

AFlow's rule: ``check()`` of the row's test passes within 15 s. An official row (full or sanitized) has a list of
asserts instead: the first is shown in the prompt and, where there are others, is not scored.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from aflow_verl.benchmarks.code_scorer import EXAM, CodeScorer
from aflow_verl.benchmarks.judge.exam import Exam, make_exam
from aflow_verl.benchmarks.scorer import RowError, problem_id, text_field
from aflow_verl.types import Problem


class Mbpp(CodeScorer):
    """Short Python functions from one sentence."""

    name = "mbpp"
    task = "Write short Python functions."

    def parse_row(self, number: int, row: Mapping[str, Any]) -> Problem:
        return self._aflow(row) if "test" in row else self._official(row)

    def _aflow(self, row: Mapping[str, Any]) -> Problem:
        prompt, entry_point, test, code = (text_field(row, name) for name in ("prompt", "entry_point", "test", "code"))
        exam = _exam(f"{_lines(row, 'test_imports')}{_renamed_check(test)}\n\n{_CHECK}()\n", entry_point)
        return Problem(problem_id(self.name, prompt, test), prompt, code, entry_point, (), {EXAM: exam})

    def _official(self, row: Mapping[str, Any]) -> Problem:
        """The prompt ends with an example and the function's head, as AFlow's ends with the head."""
        text = text_field(row, "text" if "text" in row else "prompt")
        code, tests = text_field(row, "code"), row.get("test_list")
        if not isinstance(tests, list) or not tests or not all(isinstance(test, str) for test in tests):
            raise RowError("needs test_list, a list of asserts")
        function = _entry_point(code, tests)
        public, scored = tests[0].strip(), tests[1:] or tests
        setup = _lines(row, "test_imports") + _lines(row, "test_setup_code")
        exam = _exam(setup + "\n".join(scored), function.name)
        prompt = f"{text.strip()}\n\nExample:\n{public}\n\ndef {function.name}({ast.unparse(function.args)}):"
        return Problem(problem_id(self.name, prompt, *tests), prompt, code, function.name, (public,), {EXAM: exam})


_CHECK = "_check_answer"
"""Instead of ``check``, which is also the name of a function to write (task 56), and would hide it."""


def _exam(tests: str, entry_point: str) -> Exam:
    try:
        return make_exam(tests, entry_point)
    except ValueError as wrong:
        raise RowError(f"the tests are no Python: {wrong}") from None


def _renamed_check(test: str) -> str:
    """``test`` with its function ``check()`` under our name. Raises RowError where it has none."""
    try:
        program = ast.parse(test)
    except SyntaxError as wrong:
        raise RowError(f"test is no Python: {wrong.msg} (line {wrong.lineno})") from None
    checks = [s for s in program.body if isinstance(s, ast.FunctionDef) and s.name == "check" and not s.args.args]
    if not checks:
        raise RowError("test defines no check()")
    checks[-1].name = _CHECK
    return ast.unparse(program)


def _entry_point(code: str, tests: Sequence[str]) -> ast.FunctionDef:
    """The function of the official solution that the tests call most, the last one of equals."""
    try:
        functions = [s for s in ast.parse(code).body if isinstance(s, ast.FunctionDef)]
        called = Counter(n.id for n in ast.walk(ast.parse("\n".join(tests))) if isinstance(n, ast.Name))
    except SyntaxError as wrong:
        raise RowError(f"code or test_list is no Python: {wrong.msg}") from None
    tested = [function for function in functions if called[function.name]]
    if not tested:
        raise RowError("no test calls a function of code")
    return max(reversed(tested), key=lambda function: called[function.name])


def _lines(row: Mapping[str, Any], name: str) -> str:
    """A field that is a text or a list of lines, or missing."""
    value = row.get(name) or ""
    text = value if isinstance(value, str) else "\n".join(map(str, value))
    return f"{text}\n" if text else ""
