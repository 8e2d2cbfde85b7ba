"""No text of a model reaches ``eval`` here: the list of tasks, against the source of the installed reasoning-gym."""

import os
from collections.abc import Callable

import pytest
import reasoning_gym
from reasoning_gym.factory import DATASETS

from aflow_verl.benchmarks.base import Split
from aflow_verl.benchmarks.reasoning_gym import ReasoningGym
from aflow_verl.benchmarks.sandboxed import warm_verifier
from aflow_verl.benchmarks.sandboxed.verifier import best_score
from aflow_verl.benchmarks.verifiers import SAFE_TASKS, needs_sandbox
from aflow_verl.errors import SandboxUnavailable
from aflow_verl.sandbox.base import ProgramSandbox
from aflow_verl.sandbox.monty import MontySandbox
from aflow_verl.sandbox.process.sandbox import ProcessSandbox

ONE_EACH: dict[Split, int] = {"train": 1, "validation": 1, "heldout": 1}
MARK = "AFLOW_TEST_EVALUATED"
CODE = f"__import__('os').environ.update({MARK}='1')"
ATTACKS = [CODE, f"[{CODE}]", f"Answer: {CODE}", f"<answer>{CODE}</answer>", f"{CODE}\nC + x", "[" * 200 + "]" * 200]


@pytest.fixture
def unmarked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment without the mark, and again so after the test."""
    monkeypatch.setenv(MARK, "")
    monkeypatch.delenv(MARK)


def test_the_list_is_what_the_installed_source_says(harmful: Callable[[type], str | None]) -> None:
    found = {name: harmful(dataset_class) for name, (dataset_class, _) in DATASETS.items()}
    assert {name for name, problem in found.items() if problem is None} == SAFE_TASKS
    assert found["spiral_matrix"] == "SpiralMatrixDataset.score_answer uses eval"
    for task in ("string_insertion", "binary_matrix", "countdown", "puzzle24", "n_queens", "simple_integration"):
        assert found[task] is not None
    for task in ("intermediate_integration", "polynomial_multiplication", "composite", "codeio"):
        assert found[task] is not None


def test_the_scan_sees_what_hides(harmful: Callable[[type], str | None]) -> None:
    class Passed:
        def score_answer(self, answer, entry):
            return list(map(eval, [answer]))

    class Indirect:
        tool = staticmethod(lambda text: exec(text))

        def score_answer(self, answer, entry):
            return self.tool(answer)

    class Imported:
        def score_answer(self, answer, entry):
            from ast import literal_eval

            return literal_eval(answer)

    class Taken:
        def score_answer(self, answer, entry):
            return {"f": len}["f"](answer)

    class Fine:
        def score_answer(self, answer, entry):
            return float(answer.strip() == entry["answer"])

    assert harmful(Passed) is not None
    assert harmful(Indirect) is not None
    assert harmful(Imported) is not None
    assert harmful(Taken) is not None
    assert harmful(Fine) is None


@pytest.mark.parametrize(
    "task", ["letter_counting", "simple_equations", "game_of_life", "propositional_logic", "countdown", "puzzle24"]
)
async def test_code_in_an_answer_is_only_text(task: str, unmarked: None, no_programs: ProgramSandbox) -> None:
    benchmark = ReasoningGym([task], ONE_EACH)
    for problem in benchmark.problems("train"):
        for attack in ATTACKS:
            assert await benchmark.grade(problem, attack, no_programs) < 0.5
    assert MARK not in os.environ


@pytest.mark.parametrize("task", ["string_insertion", "binary_matrix", "n_queens", "simple_integration"])
@pytest.mark.asyncio(loop_scope="session")
async def test_tasks_that_evaluate_answers_see_no_code(
    task: str, unmarked: None, grading_programs: ProcessSandbox
) -> None:
    """Not even in the sandbox: an answer that runs there could write its own score."""
    benchmark = ReasoningGym([task], ONE_EACH)
    assert needs_sandbox(task)
    for problem in benchmark.problems("train"):
        for attack in (*ATTACKS[:3], "exit(0)", "[x for x in ().__class__.__base__.__subclasses__()]"):
            assert await benchmark.grade(problem, attack, grading_programs) == 0.0
    assert MARK not in os.environ


def test_why_they_may_not_run_here(unmarked: None) -> None:
    dataset = reasoning_gym.create_dataset("string_insertion", size=1, seed=0)
    dataset.score_answer(f"['A', {CODE}]", dataset[0])
    assert os.environ.get(MARK) == "1"


async def test_a_sandbox_without_the_package_is_refused_not_graded() -> None:
    benchmark = ReasoningGym(["sokoban"], ONE_EACH)
    async with MontySandbox(workers=1, program_workers=1) as monty:
        with pytest.raises(SandboxUnavailable, match=r"reasoning_gym: grading needs sandbox\.programs=process"):
            await benchmark.grade(benchmark.problems("train")[0], "UP", monty)


def test_the_program_of_the_sandbox() -> None:
    warm_verifier.warm_up()
    entry = reasoning_gym.create_dataset("pool_matrix", size=1, seed=0)[0]
    assert best_score("pool_matrix", {}, entry, ["junk", entry["answer"]]) == 1.0
    sorting = {"answer": "[1]", "metadata": {}}
    assert best_score("number_sorting", {}, sorting, ["[1]"]) == 0.0  # stumbles: no direction
    assert best_score("codeio", {}, {"answer": None}, ["x"]) == 0.0
