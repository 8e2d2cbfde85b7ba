"""A recipe's benchmark, what it needs, and the simulated one."""

import json
from pathlib import Path
from typing import Any

import pytest

from aflow_verl.benchmarks.base import SPLITS
from aflow_verl.benchmarks.catalog import BENCHMARKS, SCORERS, Requirements, create_benchmark, requirements
from aflow_verl.benchmarks.math import Math
from aflow_verl.benchmarks.mbpp import Mbpp
from aflow_verl.benchmarks.verifiers import PRELOAD
from aflow_verl.config import BenchmarkConfig
from aflow_verl.errors import RecipeError
from aflow_verl.models.landscape import PROBLEM
from aflow_verl.sandbox.base import ProgramSandbox


def test_every_name_of_a_recipe_has_its_line() -> None:
    assert not SCORERS.keys() & BENCHMARKS.keys()
    assert all(make().name == name for name, make in SCORERS.items())


@pytest.mark.parametrize("name", ["gsm8k", "math", "hotpotqa", "drop", "humaneval", "reasoning_gym", "simulated"])
def test_each_benchmark_has_what_the_policy_is_shown(
    name: str, tmp_path: Path, made_up_rows: dict[str, list[dict[str, Any]]]
) -> None:
    path = None
    if name in made_up_rows:
        path = str(tmp_path / "data.jsonl")
        Path(path).write_text("".join(json.dumps(row) + "\n" for row in made_up_rows[name]))
    settings = BenchmarkConfig(name, tasks=("gcd",), path=path, train=3, validation=2, heldout=1)
    benchmark = create_benchmark(settings)
    assert benchmark.name == settings.name
    for shown in (benchmark.task, benchmark.answer_format):
        assert shown
        assert "\n" not in shown
    assert [len(benchmark.problems(split)) for split in SPLITS] == [3, 2, 1]


@pytest.mark.parametrize(
    ("benchmarks", "needed"),
    [
        ([BenchmarkConfig("gsm8k"), BenchmarkConfig("simulated")], Requirements()),
        ([BenchmarkConfig("math")], Requirements(preload=Math.preload)),
        ([BenchmarkConfig("math"), BenchmarkConfig("mbpp")], Requirements(True, (*Math.preload, *Mbpp.preload))),
        ([BenchmarkConfig("reasoning_gym", ("gcd", "countdown"))], Requirements()),
        ([BenchmarkConfig("reasoning_gym", ("gcd", "codeio"))], Requirements(preload=PRELOAD)),
        (
            [BenchmarkConfig("reasoning_gym", ("composite(datasets=['gcd', 'sokoban'])",))],
            Requirements(preload=PRELOAD),
        ),
    ],
)
def test_requirements(benchmarks: list[BenchmarkConfig], needed: Requirements) -> None:
    assert requirements(benchmarks) == needed


async def test_simulated_problems_are_known_to_the_simulated_model(no_programs: ProgramSandbox) -> None:
    benchmark = create_benchmark(BenchmarkConfig("simulated", train=3, validation=2, heldout=4, seed=5))
    problems = [p for split in SPLITS for p in benchmark.problems(split)]
    assert len({p.id for p in problems}) == 9
    for problem in problems:
        assert PROBLEM.fullmatch(problem.prompt)
        assert await benchmark.grade(problem, f"It is {problem.reference}.", no_programs) == 1.0
        assert await benchmark.grade(problem, "nothing", no_programs) == 0.0
        assert await benchmark.grade(problem, problem.prompt, no_programs) == 0.0
    assert await benchmark.grade(problems[0], problems[1].reference, no_programs) == 0.0


def test_empty_splits_and_missing_data_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AFLOW_VERL_CACHE", str(tmp_path))
    with pytest.raises(RecipeError, match=r"benchmark\.validation: must be at least 1"):
        create_benchmark(BenchmarkConfig("simulated", validation=0))
    with pytest.raises(RecipeError, match=r"benchmark\.path: gsm8k needs data"):
        create_benchmark(BenchmarkConfig("gsm8k"))
    with pytest.raises(RecipeError, match=r"benchmark\.tasks"):
        create_benchmark(BenchmarkConfig("reasoning_gym"))
