"""Programs in Monty: values, limits, and attacks, each followed by a clean run."""

import asyncio
import time
from pathlib import Path

import pytest

from aflow_verl.sandbox.limits import Limits
from aflow_verl.sandbox.monty import MontySandbox
from aflow_verl.workflow.language import MODULES, TYPING


@pytest.mark.parametrize(
    ("code", "value", "stdout"),
    [
        ('"bee".count("e")', 2, ""),
        ("print('a')\nprint('b')", None, "a\nb\n"),
        ("print('working')\n1 + 1", 2, "working\n"),
        ("import math\nmath.gcd(12, 18)", 6, ""),
        ("def solve():\n    return 3", 3, ""),
        ("async def solve():\n    return 3", 3, ""),
        ("def solve(n=4):\n    return n\nif __name__ == '__main__':\n    print(solve())", 4, "4\n"),
        ("def solve(n):\n    return n\nresult = solve(5)", 5, ""),
        ("def solve():\n    return 3\nsolve() + 1", 4, ""),
        ("total = 0\nfor i in range(4):\n    total += i", None, ""),
        ("{'a': [1, (2.5, None)]}", {"a": [1, (2.5, None)]}, ""),
        ("{3}", "{3}", ""),
        ("", None, ""),
        ("f'{\"a\"}'", "a", ""),
    ],
)
async def test_values(sandbox: MontySandbox, limits: Limits, code: str, value: object, stdout: str) -> None:
    result = await sandbox.run_program(code, limits)
    assert (result.value, result.stdout, result.error) == (value, stdout, None)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("while True:\n    pass", "TimeoutError"),
        ("def f(n):\n    return f(n + 1)\nf(0)", "RecursionError"),
        ("x = [0] * 10**9", "MemoryError"),
        ("x = 'a'\nwhile True:\n    x += x", "MemoryError"),
        ("10 ** 10 ** 8", "MemoryError"),
        ("[i for i in range(10**10)]", "MemoryError"),
        ("while True:\n    print('x' * 1000)", "MemoryError"),
        ("2 ** 1_000_000", "1000001 bits"),
        ("open('/etc/passwd').read()", "PermissionError"),
        ("open('/tmp/aflow_verl_escape', 'w').write('x')", "PermissionError"),
        ("from pathlib import Path\nPath('/etc/passwd').read_text()", "PermissionError"),
        ("import os\nos.listdir('/')", "PermissionError"),
        ("import os\nos.environ['PATH']", "not supported"),
        ("import os\nos.getenv('HOME')", "not supported"),
        ("import os\nos.system('id')", "no attribute 'system'"),
        ("import os\nos.fork()", "no attribute 'fork'"),
        ("import os\nos._exit(0)", "no attribute '_exit'"),
        ("import os\nos.kill(1, 9)", "no attribute 'kill'"),
        ("import sys\nsys.modules", "no attribute 'modules'"),
        ("import socket", "No module named 'socket'"),
        ("import subprocess", "No module named 'subprocess'"),
        ("import ctypes", "No module named 'ctypes'"),
        ("import urllib.request", "No module named 'urllib'"),
        ("import importlib", "No module named 'importlib'"),
        ("import numpy", "No module named 'numpy'"),
        ("__import__('os')", "NameError"),
        ("().__class__.__bases__[0].__subclasses__()", "no attribute '__class__'"),
        ("(lambda: 0).__globals__", "no attribute '__globals__'"),
        ("(lambda: 0).__code__", "no attribute '__code__'"),
        ("getattr(print, '__self__')", "AttributeError"),
        ("'{0.__class__}'.format(1)", "Error"),
        ("eval('__import__(\"os\")')", "NameError"),
        ("raise SystemExit(0)", "Error"),
        ("1 / 0", "ZeroDivisionError: division by zero (in: 1 / 0)"),
        ("def g():\n    yield 1", "the interpreter has no yield expressions"),
        ("a b", "SyntaxError"),
        ("(" * 1000, "SyntaxError"),
        ("1" + "+1" * 20_000, "SyntaxError"),
        ("x\0y", "SyntaxError"),
        ("'\ud800'", "Error"),
        ("x" * 200_000, "longer than"),
    ],
)
async def test_what_is_stopped(sandbox: MontySandbox, limits: Limits, code: str, message: str) -> None:
    began = time.monotonic()
    result = await sandbox.run_program(code, limits)
    assert result.error is not None
    assert message in result.error
    assert "\n" not in result.error
    assert len(result.error) < 500
    assert len(result.stdout) <= limits.max_output_chars
    assert result.value is None
    assert time.monotonic() - began < 10
    assert (await sandbox.run_program("6 * 7", limits)).value == 42
    assert not Path("/tmp/aflow_verl_escape").exists()


async def test_output_and_value_are_cut(sandbox: MontySandbox, limits: Limits) -> None:
    result = await sandbox.run_program("print('x' * 5000)\n['y' * 5000]", limits)
    assert result.stdout == "x" * 1000
    assert result.value == ["y" * 1000]
    deep = await sandbox.run_program("x = []\nfor i in range(5000):\n    x = [x]\nx", limits)
    assert deep.error is None
    assert len(str(deep.value)) < 100


async def test_runs_share_nothing(sandbox: MontySandbox, limits: Limits) -> None:
    for _ in range(8):
        await sandbox.run_program("secret = 1", limits)
    results = await asyncio.gather(*(sandbox.run_program("secret", limits) for _ in range(4)))
    assert all("NameError" in (result.error or "") for result in results)


async def test_randomness_repeats_and_sleep_takes_no_time(sandbox: MontySandbox, limits: Limits) -> None:
    code = "import random, time\ntime.sleep(3600)\nrandom.random()"
    first, second = [await sandbox.run_program(code, limits) for _ in range(2)]
    assert first.value == second.value is not None


async def test_many_at_once(sandbox: MontySandbox, limits: Limits) -> None:
    codes = ["while True:\n    pass" if i % 10 == 0 else f"{i} * 2" for i in range(40)]
    results = await asyncio.gather(*(sandbox.run_program(code, Limits(seconds=0.3)) for code in codes))
    for i, result in enumerate(results):
        assert result.value == (None if i % 10 == 0 else 2 * i)


async def test_every_listed_module_loads(sandbox: MontySandbox, limits: Limits) -> None:
    """The list that replies are checked against is the interpreter's own."""
    for name in sorted(MODULES):
        assert (await sandbox.run_program(f"import {name}", limits)).error is None, name
    for name in sorted(TYPING - {"cast"}):
        assert (await sandbox.run_program(f"from typing import {name}", limits)).error is None, name


@pytest.mark.parametrize(
    "code",
    [
        "class A:\n    class B:\n        pass",
        "class A(B):\n    pass",
        "class A:\n    @staticmethod\n    def f():\n        pass",
        "class A:\n    if True:\n        x = 1",
        "x = [1]\ndel x[0]",
        "async def f():\n    async with x:\n        pass",
        "async def f():\n    async for x in y:\n        pass",
        "async def f(y):\n    return [x async for x in y]",
        "from re import *",
        "super()",
        "globals()",
        "input()",
    ],
)
async def test_what_replies_are_refused_for_is_really_missing(sandbox: MontySandbox, limits: Limits, code: str) -> None:
    assert (await sandbox.run_program(code, limits)).error is not None
