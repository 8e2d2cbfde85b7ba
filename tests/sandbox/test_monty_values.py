"""What leaves Monty: only small plain data, whatever the code does to get more out."""

import time
from dataclasses import astuple, replace
from typing import Any

import pytest

from aflow_verl.sandbox.limits import Limits
from aflow_verl.sandbox.monty import MontySandbox
from aflow_verl.sandbox.monty_source import MAX_PARTS, MAX_TEXT, Names, guarded, written_by_the_author
from aflow_verl.workflow.state import SEED_CODE

BOMB = "x = [1]\nfor i in range(8):\n    x = [x] * 100\n"
"""10^16 items in a few kilobytes."""


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (BOMB + "x", f"more than {MAX_PARTS} parts"),
        (BOMB + "def solve():\n    return x", f"more than {MAX_PARTS} parts"),
        (BOMB + "y = x", f"more than {MAX_PARTS} parts"),
        ("x = {}\nfor i in range(30):\n    x = {1: x, 2: x}\nx", f"more than {MAX_PARTS} parts"),
        ("x = 1,\nfor i in range(30):\n    x = (x, x)\nx", f"more than {MAX_PARTS} parts"),
        ("x = 'a' * 1000\n[[x] * 100] * 100", f"more than {MAX_TEXT} characters"),
        ("x = 'a' * 1000\n[{x + str(i): 1 for i in range(100)}] * 100", f"more than {MAX_TEXT} characters"),
    ],
)
async def test_a_value_too_large_to_copy(sandbox: MontySandbox, limits: Limits, code: str, message: str) -> None:
    began = time.monotonic()
    result = await sandbox.run_program(code, limits)
    assert message in (result.error or "")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("code", ["print(x)", "raise ValueError(str(x))"])
async def test_a_text_too_large_to_make(sandbox: MontySandbox, code: str) -> None:
    """Ended for its memory, or for its time, whichever is up first."""
    assert (await sandbox.run_program(BOMB + code, Limits(seconds=0.3, memory_mb=32))).error is not None
    assert (await sandbox.run_program("6 * 7", Limits())).value == 42


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("isinstance = list = str = len = 3\n[(1, 'a'), {'b': 2.5}]", [(1, "a"), {"b": 2.5}]),
        ("class A:\n    def __str__(self):\n        return 'an A'\n[A()]", ["an A"]),
        ("{(1, 2): {3}}", {"(1, 2)": "{3}"}),
        ("x = []\nx.append(x)\nlen(x)", 1),
        ("list(range(5000))", list(range(1000))),
        ("await_me = 1; await_me", 1),
        ("'text only'", "text only"),
        ("f'{[1, 2]!r:>8}'", "  [1, 2]"),
        ("x = {'a': 1}\nf'{x['a']}'", None),
    ],
)
async def test_values_that_leave(sandbox: MontySandbox, limits: Limits, code: str, value: Any) -> None:
    """The last one is syntax of Python 3.12, which Monty has: where this Python can't parse it, it has no value."""
    result = await sandbox.run_program(code, limits)
    assert result.error is None
    assert result.value == value or (value is None and result.value == "1")


async def test_names_inside_can_not_be_used_from_inside(sandbox: MontySandbox, limits: Limits) -> None:
    """They can be seen, but not changed, and not called by a name that is known only when the code runs."""
    code = "mine = [name for name in locals()][0]\nlocals()[mine] = lambda value, chars: [[1] * 100] * 1000\n[1]"
    assert (await sandbox.run_program(code, limits)).value == [1]


async def test_arguments_of_operators(sandbox: MontySandbox, limits: Limits) -> None:
    calls: list[dict[str, Any]] = []

    async def call(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        calls.append(arguments)
        return {"response": "4"}

    body = "\n".join(f"        {line}" for line in [*BOMB.splitlines(), "return await self.custom(input=x)"])
    code = SEED_CODE.split("        solution =")[0] + body + "\n"
    result = await sandbox.run_workflow(code, "", "d", "p", None, call, limits)
    assert f"more than {MAX_PARTS} parts" in (result.error or "")
    direct = code.replace("self.custom(input=x)", "_call_operator('Custom', (), {'input': x})")
    assert (await sandbox.run_workflow(direct, "", "d", "p", None, call, limits)).error is not None
    assert calls == []


def test_the_line_that_is_named_is_the_authors() -> None:
    names = replace(Names.unguessable(), plain="_plain", value="_value")
    first = guarded("6", names, Limits()).count("\n") - 1
    assert written_by_the_author([(first, "_value = 1 / 0")], names) == "1 / 0"
    assert written_by_the_author([(first, "x = y"), (first + 1, "_plain(_value, 10)")], names) == "x = y"
    assert written_by_the_author([(2, "left[0] -= 1")], names) is None


def test_no_two_runs_have_the_same_names() -> None:
    drawn = [Names.unguessable() for _ in range(10)]
    assert len({name for names in drawn for name in astuple(names)}) == 40
