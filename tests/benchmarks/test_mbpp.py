"""MBPP rows as AFlow has them and as they were published."""

from typing import Any

import pytest

from aflow_verl.benchmarks.mbpp import Mbpp
from aflow_verl.benchmarks.scorer import RowError
from aflow_verl.sandbox.process.sandbox import ProcessSandbox
from aflow_verl.types import Problem

AFLOW = {
    "source_file": "own",
    "task_id": 1,
    "prompt": "Write a function to double a number.\n\ndef twice(x):",
    "code": "def twice(x):\n    return 2 * x",
    "test_imports": [],
    "test_list": ["assert twice(2) == 4"],
    "entry_point": "twice",
    "test": "def check():\n    assert twice(2) == 4\n    assert twice(-3) == -6\n",
}
FULL = {
    "task_id": 2,
    "text": "Write a function to find the height of a tree.",
    "code": (
        "class Node:\r\n    def __init__(self, data):\r\n        self.data = data\r\n        self.left = None\r\n"
        "def helper(node):\r\n    return node\r\n"
        "def height(node, extra=0):\r\n    return extra if node is None else 1 + height(node.left, extra)"
    ),
    "test_list": ["assert height(root) == 2", "assert height(root.left) == 1", "assert height(helper(None)) == 0"],
    "test_setup_code": "root = Node(1)\r\nroot.left = Node(2)",
    "challenge_test_list": [],
}
SANITIZED = {
    "task_id": 3,
    "prompt": "Write a function to take the square root.",
    "code": "import math\ndef root(x):\n    return math.sqrt(x)",
    "test_imports": ["import math"],
    "test_list": ["assert math.isclose(root(2), 1.41421356237)", "assert math.isclose(root(9), 3)"],
}


def parse(row: dict[str, Any], **change: Any) -> Problem:
    return Mbpp().parse_row(1, {**row, **change})


def test_an_aflow_row_keeps_its_prompt_and_shows_no_test() -> None:
    problem = parse(AFLOW)
    assert problem.prompt == AFLOW["prompt"]
    assert problem.entry_point == "twice"
    assert problem.public_tests == ()
    assert problem.reference == AFLOW["code"]


def test_an_official_row_shows_its_first_test_and_scores_the_others() -> None:
    problem = parse(SANITIZED)
    assert problem.public_tests == ("assert math.isclose(root(2), 1.41421356237)",)
    assert problem.prompt == (
        "Write a function to take the square root.\n\nExample:\n"
        "assert math.isclose(root(2), 1.41421356237)\n\ndef root(x):"
    )
    assert "root(9)" in problem.data["exam"].tests
    assert "root(2)" not in problem.data["exam"].tests


def test_the_only_test_is_scored_as_well() -> None:
    problem = parse(SANITIZED, test_list=["assert root(4) == 2"])
    assert problem.public_tests == ("assert root(4) == 2",)
    assert "root(4)" in problem.data["exam"].tests


def test_the_function_is_the_one_that_the_tests_call_most() -> None:
    problem = parse(FULL)
    assert problem.entry_point == "height"
    assert problem.prompt.endswith("def height(node, extra=0):")
    assert problem.data["exam"].names == ("height", "Node", "helper")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**AFLOW, "test": "assert twice(2) == 4"}, "test defines no check"),
        ({**AFLOW, "test": "def check(x):\n    pass"}, "test defines no check"),
        ({**AFLOW, "test": "def check(:"}, "test is no Python"),
        ({**AFLOW, "test_imports": ["import ("]}, "the tests are no Python"),
        ({**AFLOW, "code": 3}, "needs the text code"),
        ({**SANITIZED, "test_list": []}, "needs test_list"),
        ({**SANITIZED, "test_list": "assert root(4) == 2"}, "needs test_list"),
        ({**SANITIZED, "test_list": ["assert other(4) == 2"]}, "no test calls a function"),
        ({**SANITIZED, "code": "def root(x"}, "is no Python"),
    ],
)
def test_rows_that_are_no_problem(row: dict[str, Any], message: str) -> None:
    with pytest.raises(RowError, match=message):
        Mbpp().parse_row(1, row)


@pytest.mark.asyncio(loop_scope="session")
class TestGrading:
    @pytest.mark.parametrize("row", [AFLOW, FULL, SANITIZED], ids=["aflow", "full", "sanitized"])
    async def test_right_answers(self, process_programs: ProcessSandbox, row: dict[str, Any]) -> None:
        problem = parse(row)
        reply = f"Of course:\n```python\n{problem.reference}\n```\n"
        assert await Mbpp().grade(problem, problem.reference, process_programs) == 1.0
        assert await Mbpp().grade(problem, reply, process_programs) == 1.0

    @pytest.mark.parametrize(
        ("row", "answer"),
        [
            (AFLOW, "def twice(x): return 4"),
            (AFLOW, "def double(x): return 2 * x"),
            (FULL, "class Node:\n    def __init__(s, d): s.left = 0\ndef helper(n): return n\ndef height(n): return 2"),
            (FULL, "def helper(n): return n\ndef height(n): return 1 if n else 0"),
            (SANITIZED, "def root(x): return 1.41421356237"),
        ],
    )  # fmt: skip
    async def test_wrong_answers(self, process_programs: ProcessSandbox, row: dict[str, Any], answer: str) -> None:
        assert await Mbpp().grade(parse(row), answer, process_programs) == 0.0

    async def test_a_function_called_check_can_be_asked_for(self, process_programs: ProcessSandbox) -> None:
        """In AFlow the test's ``check()`` hides it, and no answer passes (task 56)."""
        row = {**AFLOW, "entry_point": "check", "code": "def check(n): return n == 73",
               "test": "def check():\n    assert check(70) == False\n    assert check(73) == True\n"}  # fmt: skip
        problem = parse(row)
        assert await Mbpp().grade(problem, problem.reference, process_programs) == 1.0
        assert await Mbpp().grade(problem, "def check(n): return False", process_programs) == 0.0
