"""Races: in stages, stopped early, on problems in a seeded order; never from incomplete results."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from aflow_verl.benchmarks.simulated import Simulated
from aflow_verl.config import RacingConfig
from aflow_verl.evaluation.bound import BenchmarkEngine
from aflow_verl.evaluation.engine import Engine
from aflow_verl.evaluation.race import Race, race
from aflow_verl.models.landscape import LANDSCAPES
from aflow_verl.models.simulated import SimulatedClient
from aflow_verl.types import Evaluation, Grade, Problem
from aflow_verl.workflow.state import WorkflowState, seed_state

PROBLEMS = tuple(Problem(f"p{k}", f"question {k}", "") for k in range(20))
PARENT, CHILD = (WorkflowState("toy", code, "", ()) for code in ("a = 1", "a = 2"))


class Scores:
    """Stages whose scores are a function of (workflow, problem's number, sample)."""

    def __init__(self, score: Callable[[bool, int, int], float], missing: str | None = None) -> None:
        self.score = score
        self.missing = missing
        self.asked: list[tuple[bool, tuple[str, ...], int]] = []

    async def __call__(self, workflow: WorkflowState, problems: Sequence[Problem], sample: int) -> Evaluation:
        child = workflow is CHILD
        self.asked.append((child, tuple(problem.id for problem in problems), sample))
        present = [problem for problem in problems if problem.id != self.missing]
        grades = tuple(Grade(p.id, self.score(child, int(p.id[1:]), sample), calls=2) for p in present)
        if len(present) == len(problems):
            return Evaluation(grades)
        return Evaluation(grades, (str(self.missing),), "the model is down")


def run(scores: Scores, seed: int = 0, repeats: bool = False, **settings: float | int | None) -> Race:
    config = RacingConfig(**settings)  # type: ignore[arg-type]
    return asyncio.run(race(scores, CHILD, PARENT, PROBLEMS, config, seed=seed, repeats=repeats))


def test_it_stops_after_the_stage_in_which_it_is_clear() -> None:
    scores = Scores(lambda child, k, sample: float(child))
    result = run(scores, stage=4)
    assert (result.verdict, result.gain, result.leads) == ("better", 1.0, True)
    assert (result.runs, result.calls) == (12, 48)  # nine wins in a row are clear
    assert [len(ids) for child, ids, _ in scores.asked if child] == [4, 4, 4]
    drawn = [[ids for child, ids, _ in scores.asked if child is side] for side in (True, False)]
    assert drawn[0] == drawn[1]
    worse = run(Scores(lambda child, k, sample: float(not child)), stage=4)
    assert (worse.verdict, worse.leads) == ("worse", False)


def test_at_the_cap_the_mean_decides_and_a_tie_changes_nothing() -> None:
    ahead = run(Scores(lambda child, k, sample: float(child and k < 2)))
    assert (ahead.verdict, ahead.runs, ahead.gain, ahead.leads) == ("cap", 20, 0.1, True)
    assert ahead.interval().n == 20
    assert ahead.interval().low < 0 < ahead.interval().high
    tied = run(Scores(lambda child, k, sample: 1.0), cap=6, stage=4)
    assert (tied.verdict, tied.runs, tied.leads) == ("cap", 6, False)


def test_the_order_is_the_seeds() -> None:
    asked = []
    for seed in (0, 0, 1):
        scores = Scores(lambda child, k, sample: 0.5)
        run(scores, seed=seed)
        asked.append([ids for _, ids, _ in scores.asked])
    assert asked[0] == asked[1] != asked[2]
    assert sorted(problem_id for ids in asked[0][::2] for problem_id in ids) == sorted(p.id for p in PROBLEMS)


def test_problems_are_drawn_again_with_new_samples_once_all_have_been() -> None:
    scores = Scores(lambda child, k, sample: float(child and sample == 1 and k == 0))
    result = run(scores, repeats=True, margin=0.0)
    assert (result.verdict, result.runs, result.gain) == ("cap", 100, 0.01)
    assert result.child["p0"] == pytest.approx(0.2)
    seen = [(problem_id, sample) for child, ids, sample in scores.asked if child for problem_id in ids]
    assert sorted(seen) == sorted((problem.id, sample) for problem in PROBLEMS for sample in range(5))


def test_an_incomplete_race_says_nothing() -> None:
    result = run(Scores(lambda child, k, sample: float(child), missing="p3"), stage=20)
    assert (result.verdict, result.reason, result.leads) == ("incomplete", "the model is down", False)


async def test_the_engine_races_on_its_benchmark(
    make_engine: Callable[..., Engine], make_workflow: Callable[[str], WorkflowState], benchmark: Simulated
) -> None:
    seed = seed_state("simulated", ("Custom", "ScEnsemble", "Programmer"))
    program = make_workflow('return (await self.programmer(problem=problem, analysis=""))["output"], 0.0')
    model = SimulatedClient(LANDSCAPES["one_good_edit"])
    contest = BenchmarkEngine(make_engine(model=model), benchmark)
    problems = benchmark.problems("train")
    result = await contest.race(program, seed, problems, seed=3)
    assert result.verdict == "better"
    assert result.runs < len(problems)
    again = BenchmarkEngine(make_engine(model=model), benchmark)
    assert await again.race(program, seed, problems, seed=3) == result
    greedy = await contest.race(seed, seed, problems, seed=3)
    assert greedy.runs <= len(problems)
    sampled = BenchmarkEngine(
        make_engine(model=model, executor={"temperature": 0.7}, racing={"margin": 0.0}), benchmark
    )
    both = await sampled.race(seed, seed, problems[:4], seed=3)
    assert (both.runs, both.gain) == (20, 0.0)
