"""``benchmark`` of a recipe -> a benchmark. To add one: one file, one line in ``BENCHMARKS``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from aflow_verl.benchmarks.base import Benchmark, Split
from aflow_verl.benchmarks.gsm8k import Gsm8k
from aflow_verl.benchmarks.simulated import Simulated
from aflow_verl.config import BenchmarkConfig
from aflow_verl.errors import RecipeError


def create_benchmark(settings: BenchmarkConfig) -> Benchmark:
    """Raises ``RecipeError`` where data is missing or a setting can't be honoured."""
    for split, size in _sizes(settings).items():
        if size < 1:
            raise RecipeError(f"benchmark.{split}: must be at least 1, found {size}")
    return BENCHMARKS[settings.name](settings)


def _reasoning_gym(settings: BenchmarkConfig) -> Benchmark:
    from aflow_verl.benchmarks.reasoning_gym import ReasoningGym  # takes seconds to import: only who needs it

    return ReasoningGym(settings.tasks, _sizes(settings), settings.seed)


def _gsm8k(settings: BenchmarkConfig) -> Benchmark:
    return Gsm8k(settings.path, _sizes(settings), settings.seed)


def _simulated(settings: BenchmarkConfig) -> Benchmark:
    return Simulated(_sizes(settings), settings.seed)


BENCHMARKS: Mapping[str, Callable[[BenchmarkConfig], Benchmark]] = MappingProxyType(
    {"reasoning_gym": _reasoning_gym, "gsm8k": _gsm8k, "simulated": _simulated}
)


def _sizes(settings: BenchmarkConfig) -> dict[Split, int]:
    return {"train": settings.train, "validation": settings.validation, "heldout": settings.heldout}
