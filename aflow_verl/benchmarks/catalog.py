"""``benchmark`` of a recipe -> a benchmark. To add one: one file, one line in ``SCORERS`` (problems from files) or
``BENCHMARKS`` (problems made some other way)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from aflow_verl.benchmarks.base import Benchmark, Split
from aflow_verl.benchmarks.drop import Drop
from aflow_verl.benchmarks.file_benchmark import FileBenchmark
from aflow_verl.benchmarks.gsm8k import Gsm8k
from aflow_verl.benchmarks.hotpotqa import HotpotQa
from aflow_verl.benchmarks.humaneval import HumanEval
from aflow_verl.benchmarks.math import Math
from aflow_verl.benchmarks.mbpp import Mbpp
from aflow_verl.benchmarks.scorer import Scorer
from aflow_verl.benchmarks.simulated import Simulated
from aflow_verl.benchmarks.sources import find_source
from aflow_verl.benchmarks.task_spec import parse_task, verified_tasks
from aflow_verl.benchmarks.verifiers import PRELOAD, needs_sandbox
from aflow_verl.config import BenchmarkConfig
from aflow_verl.errors import RecipeError

SCORERS: Mapping[str, Callable[[], Scorer]] = MappingProxyType(
    {"gsm8k": Gsm8k, "math": Math, "humaneval": HumanEval, "mbpp": Mbpp, "hotpotqa": HotpotQa, "drop": Drop}
)


@dataclass(frozen=True, slots=True)
class Requirements:
    """What grading asks of the program sandbox."""

    calls: bool = False
    """``supports_calls``."""
    preload: tuple[str, ...] = ()
    """Modules that it imports; only ``sandbox.programs: process`` can."""


def create_benchmark(settings: BenchmarkConfig) -> Benchmark:
    """Raises ``RecipeError`` where data is missing or a setting can't be honoured."""
    for split, size in _sizes(settings).items():
        if size < 1:
            raise RecipeError(f"benchmark.{split}: must be at least 1, found {size}")
    if settings.name in SCORERS:
        source = find_source(settings.name, settings.path)
        return FileBenchmark(SCORERS[settings.name](), source, _sizes(settings), settings.seed)
    return BENCHMARKS[settings.name](settings)


def requirements(benchmarks: Iterable[BenchmarkConfig]) -> Requirements:
    """What the benchmarks of a run need together, without loading any. Raises ``RecipeError`` for a task's spelling."""
    calls, preload = False, dict[str, None]()
    for settings in benchmarks:
        if settings.name in SCORERS:
            scorer = SCORERS[settings.name]()
            calls |= scorer.needs_calls
            preload |= dict.fromkeys(scorer.preload)
        elif settings.name == "reasoning_gym" and any(
            map(needs_sandbox, verified_tasks(map(parse_task, settings.tasks)))
        ):
            preload |= dict.fromkeys(PRELOAD)
    return Requirements(calls, tuple(preload))


def _reasoning_gym(settings: BenchmarkConfig) -> Benchmark:
    from aflow_verl.benchmarks.reasoning_gym import ReasoningGym  # takes seconds to import: only who needs it

    return ReasoningGym(settings.tasks, _sizes(settings), settings.seed)


def _simulated(settings: BenchmarkConfig) -> Benchmark:
    return Simulated(_sizes(settings), settings.seed)


BENCHMARKS: Mapping[str, Callable[[BenchmarkConfig], Benchmark]] = MappingProxyType(
    {"reasoning_gym": _reasoning_gym, "simulated": _simulated}
)


def _sizes(settings: BenchmarkConfig) -> dict[Split, int]:
    return {"train": settings.train, "validation": settings.validation, "heldout": settings.heldout}
