"""reasoning-gym as a benchmark: splits, grading, and what a recipe may say."""

import pytest

from aflow_verl.benchmarks.base import SPLITS, Split
from aflow_verl.benchmarks.reasoning_gym import ReasoningGym
from aflow_verl.benchmarks.task_spec import composite_parts, parse_task, verified_tasks
from aflow_verl.benchmarks.verifiers import PRELOAD
from aflow_verl.errors import RecipeError
from aflow_verl.sandbox.base import ProgramSandbox

SIZES: dict[Split, int] = {"train": 7, "validation": 4, "heldout": 5}
ONE_EACH: dict[Split, int] = {"train": 1, "validation": 1, "heldout": 1}
TASKS = ("letter_counting(min_words=3, max_words=6)", "chain_sum")


def test_splits_have_their_sizes_are_disjoint_and_repeat() -> None:
    one, again = ReasoningGym(TASKS, SIZES, seed=3), ReasoningGym(TASKS, SIZES, seed=3)
    prompts = [p.prompt for split in SPLITS for p in one.problems(split)]
    ids = [p.id for split in SPLITS for p in one.problems(split)]
    assert [len(one.problems(split)) for split in SPLITS] == [7, 4, 5]
    assert len(set(prompts)) == len(set(ids)) == 16
    assert all(one.problems(split) == again.problems(split) for split in SPLITS)
    assert ReasoningGym(TASKS, SIZES, seed=4).problems("train") != one.problems("train")


def test_tasks_take_turns_and_heldout_does_not_depend_on_the_other_sizes() -> None:
    one = ReasoningGym(TASKS, SIZES, seed=3)
    kinds = [p.id.split("/")[1] for p in one.problems("train")]
    assert kinds == ["letter_counting", "chain_sum"] * 3 + ["letter_counting"]
    larger = ReasoningGym(TASKS, {**SIZES, "train": 20}, seed=3)
    assert larger.problems("heldout") == one.problems("heldout")
    assert all(len(p.prompt.split('"')[3].split()) <= 6 for p in one.problems("train")[::2])


async def test_grading(no_programs: ProgramSandbox) -> None:
    benchmark = ReasoningGym(TASKS, SIZES)
    assert benchmark.preload == ()
    for problem in benchmark.problems("train"):
        right, wrong = problem.reference, str(int(problem.reference) + 1)
        assert await benchmark.grade(problem, right, no_programs) == 1.0
        assert await benchmark.grade(problem, f"It has 99 letters, so the answer is {right}.", no_programs) == 1.0
        for answer in (wrong, f"{right} or {wrong}", ""):
            assert await benchmark.grade(problem, answer, no_programs) < 0.5


async def test_a_verifier_that_stumbles_grades_zero(no_programs: ProgramSandbox) -> None:
    benchmark = ReasoningGym(["prime_factorization(max_value=50)"], ONE_EACH)
    problem = benchmark.problems("train")[0]
    assert await benchmark.grade(problem, "two times three", no_programs) == 0.0
    assert await benchmark.grade(problem, problem.reference, no_programs) == 1.0


async def test_texts_are_verified_without_their_wrapping(no_programs: ProgramSandbox) -> None:
    benchmark = ReasoningGym(["spell_backward"], ONE_EACH)
    problem = benchmark.problems("train")[0]
    assert await benchmark.grade(problem, f'Sure.\nAnswer: "{problem.reference}"', no_programs) == 1.0


async def test_a_mixture_is_verified_by_its_parts(no_programs: ProgramSandbox) -> None:
    """game_of_life_halting has a rule of ours: it holds inside a mixture, too."""
    mixture = (
        "composite(datasets=['lcm', {'name': 'game_of_life_halting', 'weight': 2.0, 'config': {'difficulty': 1}}])"
    )
    benchmark = ReasoningGym([mixture], {"train": 12, "validation": 1, "heldout": 1})
    problems = benchmark.problems("train")
    assert {problem.data["metadata"]["source_dataset"] for problem in problems} == {"lcm", "game_of_life_halting"}
    for problem in problems:
        assert await benchmark.grade(problem, problem.reference, no_programs) == 1.0
        assert await benchmark.grade(problem, "junk", no_programs) < 0.5
    assert ReasoningGym(["composite(datasets=['lcm', 'codeio'])"], ONE_EACH).preload == PRELOAD


def test_unsolved_integrals_are_left_out() -> None:
    """The generator gives some back as they are; ``Integral(f, x)`` is no answer to a question for it."""
    problems = ReasoningGym(["intermediate_integration"], {"train": 12, "validation": 1, "heldout": 1}).problems(
        "train"
    )
    assert not any("Integral(" in problem.reference for problem in problems)


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ((), "at least one task"),
        (("letter_count",), "did you mean letter_counting"),
        (("letter_counting(min_words=)",), "must read name=value"),
        (("letter_counting(3)",), "only named settings"),
        (("letter_counting(seed=3)",), "other than seed"),
        (("letter_counting(words=3)",), "refuses letter_counting"),
        (("letter_counting(min_words=9, max_words=3)",), "refuses letter_counting"),
        (("letter_counting; import os",), "neither name nor"),
        (("gcd(min_numbers=2, max_numbers=2, min_value=1, max_value=2)",), "yields only"),
        (("composite",), "composite needs datasets"),
        (("composite(datasets=['gdc'])",), "did you mean gcd"),
        (("composite(datasets=['composite'])",), "no task 'composite'"),
        (("composite(datasets=[3])",), "neither a name nor"),
        (("composite(datasets=[{'name': 'gcd', 'size': 3}])",), "neither a name nor"),
        (("composite(datasets=[{'name': 'gcd', 'weight': -1.0}])",), "refuses composite"),
    ],
)
def test_what_cannot_be_honoured_is_refused(tasks: tuple[str, ...], message: str) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        ReasoningGym(tasks, SIZES)
    assert "\n" not in str(caught.value)


def test_task_settings_are_literals() -> None:
    assert parse_task("gcd").settings == {}
    assert parse_task("gcd(min_numbers=2, max_numbers=3)").settings == {"min_numbers": 2, "max_numbers": 3}


def test_the_parts_of_a_mixture() -> None:
    mixture = parse_task("composite(datasets=['gcd', {'name': 'lcm', 'weight': 2.0}])")
    assert composite_parts(mixture) == {
        "gcd": {"name": "gcd", "weight": 1.0, "config": {}},
        "lcm": {"name": "lcm", "weight": 2.0, "config": {}},
    }
    assert composite_parts(parse_task("gcd")) == {}
    assert verified_tasks([parse_task("dice"), mixture]) == ["dice", "gcd", "lcm"]
