"""The program that runs a solution's public tests, and what its result says. One run for all tests of a solution."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from aflow_verl.sandbox.result import RunResult

_OUTCOMES, _GOT = "_outcomes", "_got"
_MAX_REPR_CHARS = 200
_PASSED = ""


def check_program(solution: str, tests: Sequence[str]) -> str:
    """``solution``, then every test under a ``try``; its value is a list with one text for each test, empty if passed.

    The value that an assertion compares is kept, so that the text can say what came instead. Raises SyntaxError for a
    test that is no Python.
    """
    guarded = ast.Module([node for test in tests for node in _guarded(test)], [])
    checks = ast.unparse(ast.fix_missing_locations(guarded))
    return f"{solution}\n\n{_OUTCOMES} = []\n{checks}\n{_OUTCOMES}\n"


def _guarded(test: str) -> list[ast.stmt]:
    frame = ast.parse(
        f"{_GOT} = []\n"
        "try:\n"
        f"    {_OUTCOMES}.append({_PASSED!r})\n"
        "except AssertionError as _error:\n"
        f"    {_OUTCOMES}.append('got ' + {_GOT}[0] if {_GOT} else 'is false')\n"
        "except Exception as _error:\n"
        f"    {_OUTCOMES}.append('raises ' + type(_error).__name__ + ': ' + str(_error)[:{_MAX_REPR_CHARS}])\n"
    ).body
    attempt = frame[1]
    assert isinstance(attempt, ast.Try)
    attempt.body[:0] = [part for node in ast.parse(test).body for part in _recording(node)]
    return frame


def _recording(node: ast.stmt) -> list[ast.stmt]:
    """``assert f(x) == y`` with what ``f(x)`` gave kept; any other statement as it is."""
    if not isinstance(node, ast.Assert) or not isinstance(node.test, ast.Compare):
        return [node]
    keep = ast.parse(f"_value = 0\n{_GOT}.append(repr(_value)[:{_MAX_REPR_CHARS}])").body
    assert isinstance(keep[0], ast.Assign)
    keep[0].value = node.test.left
    node.test.left = ast.Name("_value", ast.Load())
    return [*keep, node]


def failures(result: RunResult, tests: Sequence[str]) -> list[str]:
    """A line for each test that failed, or one for a program that ended before its tests did; none if all passed."""
    if result.error is not None:
        return [result.error]
    outcomes = result.value if isinstance(result.value, list) else []
    if len(outcomes) != len(tests):
        return ["it ends before all examples have run"]
    return [f"{test.strip()}: {outcome}" for test, outcome in zip(tests, outcomes, strict=True) if outcome != _PASSED]
