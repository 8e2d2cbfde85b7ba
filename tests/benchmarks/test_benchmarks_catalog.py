"""A recipe's benchmark, and the simulated one."""

from pathlib import Path

import pytest

from aflow_verl.benchmarks.base import SPLITS
from aflow_verl.benchmarks.catalog import create_benchmark
from aflow_verl.config import BenchmarkConfig
from aflow_verl.errors import RecipeError
from aflow_verl.models.landscape import PROBLEM


def test_each_benchmark_has_what_the_policy_is_shown(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_text('{"question": "?", "answer": "1"}\n' * 6)
    for settings in (
        BenchmarkConfig("reasoning_gym", tasks=("gcd",), train=3, validation=2, heldout=1),
        BenchmarkConfig("gsm8k", path=str(tmp_path / "data.jsonl"), train=3, validation=2, heldout=1),
        BenchmarkConfig("simulated", train=3, validation=2, heldout=1),
    ):
        benchmark = create_benchmark(settings)
        assert benchmark.name == settings.name
        assert benchmark.task
        assert "\n" not in benchmark.task
        assert benchmark.answer_format
        assert [len(benchmark.problems(split)) for split in SPLITS] == [3, 2, 1]


def test_simulated_problems_are_known_to_the_simulated_model() -> None:
    benchmark = create_benchmark(BenchmarkConfig("simulated", train=3, validation=2, heldout=4, seed=5))
    problems = [p for split in SPLITS for p in benchmark.problems(split)]
    assert len({p.id for p in problems}) == 9
    for problem in problems:
        assert PROBLEM.fullmatch(problem.prompt)
        assert benchmark.grade(problem, f"It is {problem.reference}.") == 1.0
        assert benchmark.grade(problem, "nothing") == benchmark.grade(problem, problem.prompt) == 0.0
    assert benchmark.grade(problems[0], problems[1].reference) == 0.0


def test_empty_splits_and_missing_data_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"benchmark\.validation: must be at least 1"):
        create_benchmark(BenchmarkConfig("simulated", validation=0))
    with pytest.raises(RecipeError, match=r"benchmark\.path"):
        create_benchmark(BenchmarkConfig("gsm8k"))
    with pytest.raises(RecipeError, match=r"benchmark\.tasks"):
        create_benchmark(BenchmarkConfig("reasoning_gym"))
