"""reasoning-gym as a benchmark: splits, grading, and what a recipe may say."""

import pytest

from aflow_verl.benchmarks.base import SPLITS, Split
from aflow_verl.benchmarks.reasoning_gym import ReasoningGym
from aflow_verl.benchmarks.task_spec import parse_task
from aflow_verl.errors import RecipeError

SIZES: dict[Split, int] = {"train": 7, "validation": 4, "heldout": 5}
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


def test_grading() -> None:
    benchmark = ReasoningGym(TASKS, SIZES)
    for problem in benchmark.problems("train"):
        right, wrong = problem.reference, str(int(problem.reference) + 1)
        assert benchmark.grade(problem, right) == 1.0
        assert benchmark.grade(problem, f"The text has 99 letters, so the answer is {right}.") == 1.0
        assert benchmark.grade(problem, wrong) < 0.5
        assert benchmark.grade(problem, f"{right} or {wrong}") < 0.5
        assert benchmark.grade(problem, "") < 0.5


def test_a_verifier_that_stumbles_grades_zero() -> None:
    benchmark = ReasoningGym(["prime_factorization(max_value=50)"], {"train": 1, "validation": 1, "heldout": 1})
    problem = benchmark.problems("train")[0]
    assert benchmark.grade(problem, "two times three") == 0.0
    assert benchmark.grade(problem, problem.reference) == 1.0


def test_texts_are_verified_without_their_wrapping() -> None:
    benchmark = ReasoningGym(["spell_backward"], {"train": 1, "validation": 1, "heldout": 1})
    problem = benchmark.problems("train")[0]
    assert benchmark.grade(problem, f'Sure.\nAnswer: "{problem.reference}"') == 1.0


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
    ],
)
def test_what_cannot_be_honoured_is_refused(tasks: tuple[str, ...], message: str) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        ReasoningGym(tasks, SIZES)
    assert "\n" not in str(caught.value)


def test_task_settings_are_literals() -> None:
    assert parse_task("gcd").settings == {}
    assert parse_task("x" if False else "gcd(min_numbers=2, max_numbers=3)").settings == {
        "min_numbers": 2,
        "max_numbers": 3,
    }
