"""Holes in reasoning-gym's verifiers: there in the package, not here."""

import json
from typing import Any

import pytest
import reasoning_gym
from reasoning_gym.factory import DATASETS

from aflow_verl.benchmarks.base import Split
from aflow_verl.benchmarks.reasoning_gym import ReasoningGym
from aflow_verl.benchmarks.task_rules import RULES, admissible
from aflow_verl.benchmarks.verifiers import needs_sandbox
from aflow_verl.sandbox.base import ProgramSandbox
from aflow_verl.sandbox.process.sandbox import ProcessSandbox

TWO: dict[Split, int] = {"train": 2, "validation": 1, "heldout": 1}


def numbers(n: int) -> str:
    return "[" + ", ".join(["NaN"] * n) + "]"


HOLES: list[tuple[str, Any]] = [
    ("game_of_life_halting", lambda entry: "any text"),
    ("coin_flip", lambda entry: "0"),
    ("complex_arithmetic", lambda entry: "nan"),
    ("number_sorting", lambda entry: numbers(len(entry["metadata"]["original_numbers"]))),
    ("puzzle24", lambda entry: "6*4*1*1"),
    (
        "simple_integration",
        lambda entry: f"Integral({entry['metadata']['integrand']}, {entry['metadata']['variable']})",
    ),
    (
        "intermediate_integration",
        lambda entry: f"Integral({entry['metadata']['integrand']}, {entry['metadata']['variable']})",
    ),
]


@pytest.mark.parametrize(("task", "attack"), HOLES, ids=[task for task, _ in HOLES])
@pytest.mark.asyncio(loop_scope="session")
async def test_holes_of_the_package_are_closed(task: str, attack: Any, grading_programs: ProcessSandbox) -> None:
    dataset = reasoning_gym.create_dataset(task, size=4, seed=3)
    assert max(dataset.score_answer(attack(entry), entry) for entry in dataset) == 1.0
    benchmark = ReasoningGym([task], TWO)
    for problem in benchmark.problems("train"):
        entry = {"metadata": problem.data["metadata"]}
        assert await benchmark.grade(problem, attack(entry), grading_programs) == 0.0
        assert await benchmark.grade(problem, problem.reference, grading_programs) == 1.0


def test_a_polynomial_without_roots_is_not_solved_by_any_text() -> None:
    dataset = reasoning_gym.create_dataset("polynomial_equations", size=1, seed=3)
    rootless = {"answer": "", "metadata": {}}
    assert dataset.score_answer("any text", rootless) == 1.0
    assert not admissible("polynomial_equations", "any text", rootless)
    assert admissible("polynomial_equations", "", rootless)


def test_countdown_combines_whole_numbers_only() -> None:
    """The package reads the digits of 1.2 as 1 and 2."""
    dataset = reasoning_gym.create_dataset("countdown", size=1, seed=3)
    entry = {"answer": "", "metadata": {"numbers": [1, 2], "target": 1.2}}
    assert dataset.score_answer("1.2", entry) == 1.0
    assert RULES["countdown"]("1.2", {"answer": "", "metadata": {"numbers": [1, 2], "target": 1}}) == 0.0


async def test_a_constant_duration_earns_nothing(no_programs: ProgramSandbox) -> None:
    """The package's partial credit pays "0" two thirds."""
    benchmark = ReasoningGym(["time_intervals"], {"train": 12, "validation": 1, "heldout": 1})
    for problem in benchmark.problems("train"):
        assert await benchmark.grade(problem, problem.reference, no_programs) == 1.0
        assert await benchmark.grade(problem, "0", no_programs) == float(problem.reference == "0")


ENTRY = {"answer": "", "metadata": {"numbers": [5, 1, 2, 8], "target": 24}}


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ("8*(5*1 - 2)", 1.0),
        ("(5 - 2) * 8 / 1", 1.0),
        ("--8*(5-2)*1", 1.0),
        ("8*(5-2)", 0.0),  # without the 1
        ("8*(5-2)*1*1", 0.0),
        ("8*(5.1-2)", 0.0),
        ("24", 0.0),
        ("8**5-2-1", 0.0),
        ("8//1*5-2", 0.0),
        ("1/(5-5)*2*8", 0.0),
        ("8*(5*1 - 2", 0.0),
        ("(8,5,2,1)", 0.0),
        ("9" * 5000, 0.0),
        ("08*(5*1-2)", 0.0),
        ("__import__('os')", 0.0),
        ("", 0.0),
    ],
)
def test_arithmetic_puzzles_use_each_number_once(answer: str, score: float) -> None:
    assert RULES["puzzle24"](answer, ENTRY) == RULES["countdown"](answer, ENTRY) == score


@pytest.mark.parametrize(
    ("answer", "chance", "score"),
    [
        ("0.003173828125", "0.003173828125", 1.0),
        ("13/4096", "0.003173828125", 1.0),
        ("0.0032", "0.003173828125", 1.0),
        ("0.003", "0.003173828125", 0.0),
        ("0.375", "0.375", 1.0),
        ("0.37", "0.375", 0.0),
        ("0", "0.00001", 0.0),
        ("1", "0.99999", 0.0),
        ("1", "1", 1.0),
        ("1/0", "0.5", 0.0),
        ("1e-1", "0.1", 0.0),
        ("50%", "0.5", 0.0),
    ],
)
def test_chances_are_right_to_a_percent(answer: str, chance: str, score: float) -> None:
    assert RULES["coin_flip"](answer, {"answer": chance}) == score


@pytest.mark.parametrize(
    ("task", "answer"),
    [
        ("gcd", "9" * 2000),
        ("gcd", "1e99999"),
        ("chain_sum", "x" * 20_000),
        ("complex_arithmetic", "inf + 3j"),
        ("rush_hour", "A+999999999"),
        ("propositional_logic", "¬" * 3000 + "P"),
        ("string_insertion", "list('ABC')"),
        ("string_insertion", "[].__class__"),
        ("spiral_matrix", "[f'{1}']"),
        ("n_queens", "[print(1)]"),
        ("simple_integration", "exec(x)"),
        ("simple_integration", "x.subs"),
        ("simple_integration", "integrate(x, x)"),
        ("simple_integration", "x**2 + y"),
        ("polynomial_multiplication", "z + __import__"),
        ("polynomial_multiplication", "chr(z)"),
    ],
)
def test_what_no_verifier_is_asked(task: str, answer: str) -> None:
    entry = {"answer": "1", "metadata": {"variable": "x", "integrand": "x", "variables": ["z"]}}
    if task == "polynomial_multiplication":
        del entry["metadata"]["variable"]  # type: ignore[attr-defined]
    assert not admissible(task, answer, entry)


@pytest.mark.parametrize(
    ("task", "answer"),
    [
        ("string_insertion", "['A', 'B']"),
        ("binary_matrix", "[[0, 1], [1, -2]]"),
        ("simple_integration", "7*x**9 - 2*sin(x)*exp(-x) + 1.5*x + C"),
        ("polynomial_multiplication", "-3*z**2 + 4*z"),
        ("rush_hour", "A+1 B-12"),
        ("complex_arithmetic", "-5.0 + 20.0i"),
    ],
)
def test_what_a_verifier_may_be_asked(task: str, answer: str) -> None:
    entry: dict[str, Any] = {"answer": "1", "metadata": {"variable": "x", "variables": ["z"]}}
    if task == "polynomial_multiplication":
        del entry["metadata"]["variable"]
    assert admissible(task, answer, entry)


JUNK = ("", "junk words", ".", "[]", "{}", "nan", "[NaN, NaN]", "inf", "A", "a b c d e f g h")
WITHOUT_REFERENCE = {"boxnet", "rush_hour"}
QUICK = ("sokoban", "rubiks_cube", "countdown", "graph_color", "simple_integration", "string_insertion")


async def reference_and_junk(task: str, programs: ProgramSandbox) -> None:
    spelled = "composite(datasets=['countdown', 'spiral_matrix'])" if task == "composite" else task
    benchmark = ReasoningGym([spelled], {"train": 1, "validation": 1, "heldout": 1})
    problem = benchmark.problems("train")[0]
    if task not in WITHOUT_REFERENCE:
        assert await benchmark.grade(problem, problem.reference, programs) == 1.0
        assert await benchmark.grade(problem, f"Let me see.\nAnswer: {problem.reference}", programs) > 0.5 or "\n" in (
            problem.reference
        )
    for junk in JUNK:
        if junk != problem.reference:
            assert await benchmark.grade(problem, junk, programs) <= 0.5, junk


@pytest.mark.parametrize("task", QUICK)
@pytest.mark.asyncio(loop_scope="session")
async def test_references_are_right_and_junk_is_not(task: str, grading_programs: ProcessSandbox) -> None:
    await reference_and_junk(task, grading_programs)


@pytest.mark.slow
@pytest.mark.parametrize("task", sorted(DATASETS))
@pytest.mark.asyncio(loop_scope="session")
async def test_references_are_right_and_junk_is_not_in_any_task(task: str, grading_programs: ProcessSandbox) -> None:
    await reference_and_junk(task, grading_programs)


async def test_boxes_that_are_carried_home_count(no_programs: ProgramSandbox) -> None:
    """boxnet has no reference: carry each box along its row and column to its target."""
    benchmark = ReasoningGym(["boxnet"], {"train": 3, "validation": 1, "heldout": 1})
    for problem in benchmark.problems("train"):
        plan = carried(problem.data["metadata"]["initial_state"])
        assert await benchmark.grade(problem, json.dumps(plan), no_programs) == 1.0
        assert await benchmark.grade(problem, json.dumps(plan[:-1]), no_programs) < 1.0


def carried(state: dict[str, list[str]]) -> list[dict[str, str]]:
    place = {item: tuple(map(float, square.split("_"))) for square, items in state.items() for item in items}
    plan = []
    for box in (item for item in place if item.startswith("box_")):
        (x, y), (goal_x, goal_y) = place[box], place[f"target_{box[4:]}"]
        while (x, y) != (goal_x, goal_y):
            step = (x + (1 if goal_x > x else -1), y) if x != goal_x else (x, y + (1 if goal_y > y else -1))
            plan.append({f"Agent[{x}, {y}]": f"move({box}, square[{step[0]}, {step[1]}])"})
            x, y = step
        plan.append({f"Agent[{x}, {y}]": f"move({box}, target_{box[4:]})"})
    return plan


async def test_a_car_that_gets_out_counts(no_programs: ProgramSandbox) -> None:
    """rush_hour has no reference: of the puzzles of up to two moves, some pair of moves solves each."""
    benchmark = ReasoningGym(["rush_hour(min_moves=1, max_moves=2)"], {"train": 2, "validation": 1, "heldout": 1})
    moves = [f"{car}{sign}{n}" for car in "BCDEFGHIJKLM" for sign in "+-" for n in (1, 2, 3, 4)]
    for problem in benchmark.problems("train"):
        scores = [await benchmark.grade(problem, f"{move} A+4", no_programs) for move in moves]
        assert max(scores) == 1.0
        assert min(scores) < 0.5


def test_where_each_task_is_verified() -> None:
    here = {name for name in DATASETS if not needs_sandbox(name)}
    assert {"countdown", "puzzle24", "coin_flip", "game_of_life_halting", "gcd"} <= here
    assert {name for name in DATASETS if needs_sandbox(name)} == {
        "binary_matrix", "bitwise_arithmetic", "codeio", "composite", "intermediate_integration", "n_queens",
        "number_sorting", "polynomial_multiplication", "pool_matrix", "rubiks_cube", "simple_integration", "sokoban",
        "spiral_matrix", "string_insertion",
    }  # fmt: skip
