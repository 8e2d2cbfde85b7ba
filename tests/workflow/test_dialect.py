"""Graphs in the interpreter's dialect: the same results as in CPython, and what is still refused."""

import ast
import re
import statistics
import string
from typing import Any

import pytest

from aflow_verl.sandbox.limits import Limits
from aflow_verl.sandbox.monty import MontySandbox
from aflow_verl.sandbox.prelude import HELPERS
from aflow_verl.workflow.dialect import SUPPLIED, translate
from aflow_verl.workflow.language import unsupported

BUILTIN = {"TimeoutError"}

STATIC = """
class A:
    @staticmethod
    def f(x, y=1):
        return x + y
    def g(self):
        return self.f(1) + A.f(1, y=2)
result = A().g()
"""
LOGGING = """
import logging
logging.basicConfig(level=logging.INFO)
logger = logging.getLogger("graph")
logger.info("x")
result = 1
"""
TRACEBACK = """
import traceback
try:
    1 / 0
except ZeroDivisionError:
    result = traceback.format_exc() is not None
"""
STATISTICS = """
import statistics as st
from statistics import multimode, stdev, fmean
result = [st.mode(["x", "y", "y"]), st.median([3, 1, 2, 4]), st.mean([1, 2]), multimode("abba"), fmean([1, 3])]
"""
DELETED = """
d, l, x = {"a": 1, "b": 2}, [1, 2, 3], 1
del d["a"], l[0], x
result = [d, l]
"""
STRINGS = "import string\nresult = string.ascii_uppercase[1] + string.punctuation + string.digits"
LITERAL = "import ast\nresult = ast.literal_eval(\"{'a': [1, -2.5e3, None], 'b': (True,)}\")"
IDIOMS = [
    ("votes = ['a', 'b', 'b']\nresult = max(set(votes), key=votes.count)", "b"),
    ("counts = {'a': 1, 'b': 2}\nresult = max(counts, key=counts.get)", "b"),
    ("result = next((x for x in [1, 2, 3] if x > 1), None)", 2),
    ("result = next((x for x in [] if x), 'none')", "none"),
    ("found = (x for x in [1, 2])\nresult = [next(found), next(found), next(found, 'end')]", [1, 2, "end"]),
    ("result = list(map(str.strip, [' a', 'b ']))", ["a", "b"]),
    ("text = 'abc'\nresult = list(filter(text.startswith, ['a', 'b']))", ["a"]),
    ("result = sorted(['b', 'A'], key=str.lower)", ["A", "b"]),
    ("result = sorted([3, 1], key=lambda x: -x)", [3, 1]),
    ("result = [(2.0).is_integer(), (2.5).is_integer(), float('inf').is_integer()]", [True, False, False]),
    ("class A(object):\n    n = 4\nresult = A().n", 4),
    ("import re\nresult = re.sub(r'\\d', lambda m: str(int(m.group()) + 1), 'a1b2', count=1)", "a2b2"),
    ("from re import sub\nresult = [sub('a', 'b', 'aaa', 2), sub('A', lambda m: '', 'xax', flags=2)]", ["bba", "xx"]),
    ("from typing import Any, cast\nresult = cast(str, 'a')", "a"),
    ("import typing as t\nresult = t.cast(t.Any, 2)", 2),
    (STATIC, 5),
    (LOGGING, 1),
    (TRACEBACK, True),
    (STATISTICS, ["y", 2.5, 1.5, ["a", "b"], 2.0]),
    (DELETED, [{"b": 2}, [2, 3]]),
    (STRINGS, "B" + string.punctuation + "0123456789"),
    (LITERAL, {"a": [1, -2500.0, None], "b": (True,)}),
]

ASYNC = """
import asyncio
from asyncio import create_task, wait_for

async def one(x):
    if x == 2:
        raise ValueError("two")
    return x

async def main():
    first, second = asyncio.create_task(one(1)), create_task(one(3))
    both = await asyncio.gather(first, second)
    caught = await asyncio.gather(*[one(x) for x in (1, 2)], return_exceptions=True)
    try:
        await wait_for(one(2), timeout=60)
    except asyncio.TimeoutError:
        error = "timeout"
    except ValueError as failure:
        error = str(failure)
    return [both, caught[0], str(caught[1]), error, await asyncio.wait_for(one(4), 5)]
"""


def in_dialect(code: str) -> str:
    """What the sandbox makes of a module: helpers in front of the translation."""
    tree = translate(ast.parse(code))
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    used = dict.fromkeys(source for name, source in HELPERS.items() if name in names)
    return "\n".join([*used, ast.unparse(tree)])


def run_here(code: str) -> Any:
    namespace: dict[str, Any] = {"__name__": "graph"}
    exec(compile(code, "graph", "exec"), namespace)
    return namespace


@pytest.fixture
async def sandbox() -> Any:
    async with MontySandbox(workers=1, program_workers=1) as opened:
        yield opened


async def test_idioms_mean_the_same_everywhere(sandbox: MontySandbox) -> None:
    """As written in CPython, translated in CPython, and translated in the interpreter."""
    for code, result in IDIOMS:
        assert run_here(code)["result"] == result, code
        assert run_here(in_dialect(code))["result"] == result, code
        outcome = await sandbox.run_program(in_dialect(code) + "\nresult", Limits())
        assert (outcome.value, outcome.error) == (result, None), code


async def test_tasks(sandbox: MontySandbox) -> None:
    expected = [[1, 3], 1, "two", "two", 4]
    assert await run_here(ASYNC)["main"]() == expected
    assert await run_here(in_dialect(ASYNC))["main"]() == expected
    outcome = await sandbox.run_program(in_dialect(ASYNC) + "\nawait main()", Limits())
    assert (outcome.value, outcome.error) == (expected, None)


def test_every_name_that_is_supplied_is_defined() -> None:
    for helper in {helper for names in SUPPLIED.values() for helper in names.values()} - BUILTIN:
        assert helper in run_here(HELPERS[helper]), helper


def test_the_helpers_agree_with_the_library() -> None:
    helpers = run_here("\n".join(dict.fromkeys(HELPERS.values())))
    for data in ([1, 2, 2, 5], [0.5, 1.5], [3, 1, 2]):
        for name in ("mean", "fmean", "median", "mode", "multimode", "stdev"):
            assert helpers[f"_{name}"](data) == pytest.approx(getattr(statistics, name)(data)), name
    for name in ("mean", "median", "mode", "stdev"):
        with pytest.raises(ValueError, match=r"requires|no m"):
            helpers[f"_{name}"]([])
    for name in SUPPLIED["string"]:
        assert helpers[f"_{name}"] == getattr(string, name)
    for pattern, count in ((r"[ab]", 0), (r"[ab]", 2), (r"x", 0), (r"\b", 0)):
        assert helpers["_re_sub"](pattern, lambda m: m[0].upper() + "!", "aba c", count) == re.sub(
            pattern, lambda m: m[0].upper() + "!", "aba c", count=count
        )


@pytest.mark.parametrize("text", ["[1, 'a(b)', \"c\"]", " {1: None} ", "-3", "1e5", "'it\\'s'", "()", "{'x': 1.5}"])
def test_literals(text: str) -> None:
    helpers = run_here(HELPERS["_literal_eval"])
    assert helpers["_literal_eval"](text) == ast.literal_eval(text.strip())


@pytest.mark.parametrize(
    "text", ["f(1)", "x", "[i for i in 'a']", "__import__('os')", "lambda: 1", "1 if 2 else 3", "a'b"]
)
def test_what_is_no_literal(text: str) -> None:
    helpers = run_here(HELPERS["_literal_eval"])
    with pytest.raises(ValueError, match="malformed"):
        helpers["_literal_eval"](text)


@pytest.mark.parametrize(
    ("code", "lacking"),
    [
        ("class A(B):\n    pass", "class inheritance"),
        ("class A:\n    @property\n    def f(self): pass", "method decorators"),
        ("del x[1:2]", "del"),
        ("del x.y", "del"),
        ("import numpy as np\nnp.mean([1])", "the module numpy"),
        ("import statistics, json\nstatistics.NormalDist()\njson.dumps(1)", "the module statistics"),
        ("from string import Template", "the module string"),
        ("import asyncio\nasyncio.Semaphore(2)", "asyncio.Semaphore"),
        ("import logging\nlogging.handlers", "the module logging"),
    ],
)
def test_what_has_no_equal_form_is_refused(code: str, lacking: str) -> None:
    assert unsupported(translate(ast.parse(code))) == lacking


def test_what_needs_no_translation_stays_as_it_is() -> None:
    code = (
        "import json, re\n\nclass A:\n\n    def f(self):\n        return re.findall('a', 'b')\nx = sum((i for i in y))"
    )
    assert ast.unparse(translate(ast.parse(code))) == ast.unparse(ast.parse(code)) == code
