"""Programs in model replies."""

import ast
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aflow_verl.operators.solutions import defines, find_program, needed_for, syntax_error

ADD = "def add(a, b):\n    return a + b\n"


@pytest.mark.parametrize(
    "reply",
    [
        ADD,
        f"```python\n{ADD}```",
        f"```\n{ADD}\n```",
        f"```Python3\n{ADD}",
        f"Here is it:\n\n{ADD}\nIt adds the numbers, as asked.",
        f"1. First:\n   ```python\n   {ADD.replace(chr(10), chr(10) + '   ')}\n   ```",
        f"```python\ndef other():\n    pass\n```\nBetter:\n```python\n{ADD}```",
        f"```python\n{ADD}\nassert add(1, 2) == 3\nprint(add(1, 2))\nif __name__ == '__main__':\n    add(1, 2)\n```",
        f"```python\n{ADD}\nthis line is prose\n```",
        f"Answer: below\n{ADD}",
    ],
)
def test_the_solution_alone_is_found(reply: str) -> None:
    assert find_program(reply, "add") == ADD


def test_what_the_solution_needs_is_kept_as_written() -> None:
    program = """\
from functools import lru_cache
import sys
sys.setrecursionlimit(10_000)
try:
    from math import prod
except ImportError:
    prod = None
UNUSED = 1
LIMITS = [3,  4]  # as written
low, high = LIMITS
class Box:
    size = high
@lru_cache(maxsize=None)
def helper(n):
    # a comment
    return Box().size if n else low
def other():
    return UNUSED
def add(a, b):
    return helper(a) + b * prod([1])
print(add(1, 2))
"""
    kept = needed_for(program, "add")
    for part in ("lru_cache(maxsize=None)", "setrecursionlimit", "# a comment", "[3,  4]", "class Box", "import prod"):
        assert part in kept
    for part in ("UNUSED", "other", "print"):
        assert part not in kept
    namespace: dict[str, object] = {}
    exec(compile(kept, "kept", "exec"), namespace)
    assert namespace["add"](0, 1) == 4  # type: ignore[operator]


def test_two_blocks_that_belong_together() -> None:
    reply = f"```python\nimport math\n```\nand\n```python\n{ADD}```"
    assert find_program(reply, "add") == "import math\n" + ADD


@pytest.mark.parametrize("reply", ["", "Sorry.", "I can't.", "Answer: 42", "```\n```", "Yes\nNo", "-" * 20_000 + "1"])
def test_prose_is_no_program(reply: str) -> None:
    assert find_program(reply, "add") is None


def test_without_the_function_the_longest_program_is_returned() -> None:
    assert find_program("```\nx = 1\n```\nor\n```\ny = 1\nz = 2\n```", "add") == "x = 1\n\n\ny = 1\nz = 2\n"
    assert find_program("x = 1\n?\n" + ADD, "sub") == ADD


def test_hostile_replies_take_no_time() -> None:
    started = time.process_time()
    find_program("x = (\n" * 5_000, "add")
    find_program("def add():\n" * 2_000, "add")
    find_program("x = " + "1 + " * 4_000 + "1\n" + ADD, "add")
    assert time.process_time() - started < 5


@given(st.text(max_size=200))
def test_what_is_found_is_a_program(text: str) -> None:
    program = find_program(text, "add")
    assert program is None or ast.parse(program).body


def test_definitions_and_errors() -> None:
    assert defines(ADD, "add")
    assert defines("add = lambda a, b: a + b", "add")
    assert not defines("class A:\n    def add(self): pass", "add")
    assert syntax_error(ADD) is None
    assert syntax_error("def add(") == "SyntaxError: '(' was never closed (line 1)"
    assert (syntax_error("a\0") or "").startswith(("SyntaxError", "ValueError"))
