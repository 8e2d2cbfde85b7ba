"""CustomCodeGenerate and Test: code out of replies, public examples, repairs."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from aflow_verl.errors import InvalidAction
from aflow_verl.operators.custom_code_generate import CustomCodeGenerate
from aflow_verl.operators.test import Test
from aflow_verl.sandbox.limits import Limits
from aflow_verl.sandbox.monty import MontySandbox
from aflow_verl.sandbox.result import RunResult

GOOD = "def add(a, b):\n    return a + b\n"
BAD = "def add(a, b):\n    return a - b\n"
TESTS = ("assert add(1, 2) == 3", "assert add(0, 0) == 0")


@pytest.fixture
async def programs() -> AsyncIterator[Any]:
    async with MontySandbox(workers=1, program_workers=1) as sandbox:

        async def run(code: str) -> RunResult:
            return await sandbox.run_program(code, Limits(seconds=1.0))

        yield run


async def test_code_generation_takes_the_solution_out_of_the_reply(script: Any) -> None:
    script.replies = [f"Sure!\n```python\n{GOOD}\nprint(add(1, 2))\n```\nDone."]
    generate = CustomCodeGenerate(script.context())
    result = await generate(problem="Add.", entry_point="add", instruction="Be brief. ")
    assert result == {"response": GOOD}
    assert script.text().startswith("Be brief.\n\nAdd.\n\n")
    assert "defining add" in script.text()
    assert not script.malformed


@pytest.mark.parametrize(
    ("reply", "response", "what"),
    [
        ("I can't do that.\n", "I can't do that.", "no_code"),
        ("", "", "no_code"),
        ("```python\ndef sub(a, b):\n    return a - b\n```", "def sub(a, b):\n    return a - b\n", "entry_point"),
    ],
)
async def test_replies_without_the_function(script: Any, reply: str, response: str, what: str) -> None:
    script.replies = [reply]
    result = await CustomCodeGenerate(script.context())(**{"*": ["Add.", "add", ""]})
    assert result == {"response": response}
    assert script.malformed == {f"CustomCodeGenerate/{what}": 1}


async def test_a_solution_that_passes_needs_no_model(script: Any, programs: Any) -> None:
    script.run = programs
    test = Test(script.context(public_tests=TESTS))
    assert await test(problem="Add.", solution=GOOD, entry_point="add") == {"result": True, "solution": GOOD}
    assert not script.asked


async def test_the_model_hears_what_failed_and_repairs_it(script: Any, programs: Any) -> None:
    script.run, script.replies = programs, [f"The sign.\n```python\n{GOOD}```"]
    test = Test(script.context(public_tests=TESTS))
    assert await test(problem="Add.", solution=BAD, entry_point="add") == {"result": True, "solution": GOOD}
    said = script.text()
    assert "assert add(1, 2) == 3: got -1" in said
    assert "add(0, 0)" not in said
    assert "return a - b" in said


@pytest.mark.parametrize(
    ("solution", "said"),
    [
        ("def add(a, b):\n    return a / b\n", "assert add(0, 0) == 0: raises ZeroDivisionError: division by zero"),
        ("def add(a, b):\n    return [a + b]\n", "assert add(1, 2) == 3: got [3]"),
        ("def add(a, b:\n    return a\n", "SyntaxError: "),
        ("def sub(a, b):\n    return a\n", "it doesn't define add"),
        ("raise ValueError('early')\n" + GOOD, "ValueError: early"),
        (GOOD + "while True:\n    pass\n", "TimeoutError"),
        ("def add(a, b):\n    return 3 if a else -0.5\n", "assert add(0, 0) == 0: got -0.5"),
    ],
)
async def test_what_the_model_is_told(script: Any, programs: Any, solution: str, said: str) -> None:
    script.run, script.replies = programs, ["no code"]
    test = Test(script.context(public_tests=TESTS))
    result = await test(problem="Add.", solution=solution, entry_point="add", test_loop=1)
    assert result == {"result": False, "solution": solution}
    assert said in script.text()
    assert script.malformed == {"Test/no_code": 1}


async def test_all_examples_of_a_round_are_one_program(script: Any) -> None:
    """AFlow's three rounds: at most four runs and three repairs, the last solution is returned."""
    script.results = [RunResult(["", "got 1"])] * 4
    script.replies = [f"```python\ndef add(a, b):\n    return {n}\n```" for n in range(3)]
    result = await Test(script.context(public_tests=TESTS))(problem="p", solution=BAD, entry_point="add")
    assert result == {"result": False, "solution": "def add(a, b):\n    return 2\n"}
    assert len(script.programs) == 4
    assert len(script.asked) == 3
    assert all(program.count("assert ") == 2 for program in script.programs)


@pytest.mark.parametrize("value", [None, ["", ""], ["x"], "text"])
async def test_a_program_that_hides_its_outcome_has_not_passed(script: Any, value: Any) -> None:
    script.results = [RunResult(value)]
    test = Test(script.context(public_tests=TESTS))
    result = await test(problem="p", solution=GOOD, entry_point="add", test_loop=0)
    assert result["result"] is (value == ["", ""])


async def test_statements_beside_assertions_and_comparisons(script: Any, programs: Any) -> None:
    script.run, script.replies = programs, ["none"]
    tests = (
        "x = [1, 2]\nassert add(*x) == 3",
        "assert abs(add(1, 2) - 3.5) < 0.1",
        "assert not add(1, -1)",
        "assert add(0, 0)",
    )
    result = await Test(script.context(public_tests=tests))(problem="p", solution=GOOD, entry_point="add", test_loop=1)
    assert result["result"] is False
    failed = [line for line in script.text().splitlines() if line.startswith("- ")]
    assert failed == ["- assert abs(add(1, 2) - 3.5) < 0.1: got 0.5", "- assert add(0, 0): is false"]


async def test_without_public_examples_the_code_has_to_define_the_function(script: Any) -> None:
    test = Test(script.context())
    assert (await test(problem="p", solution=GOOD, entry_point="add", test_loop=0))["result"] is True
    assert (await test(problem="p", solution=GOOD, entry_point="sub", test_loop=0))["result"] is False
    assert (await test(problem="p", solution="def add(", entry_point="add", test_loop=0))["result"] is False
    assert (await test(problem="p", solution="-" * 15_000 + "1", entry_point="add", test_loop=0))["result"] is False
    assert not script.programs


@pytest.mark.parametrize("test_loop", [-1, 11, "3", None])
async def test_rounds_are_bounded(script: Any, test_loop: Any) -> None:
    with pytest.raises(InvalidAction, match="test_loop must be a number from 0 to 10"):
        await Test(script.context())(problem="p", solution=GOOD, entry_point="add", test_loop=test_loop)
