"""What a run reads: benchmark files, keys of model APIs, model directories."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from aflow_verl.benchmarks.gsm8k import read_rows
from aflow_verl.benchmarks.task_spec import parse_task
from aflow_verl.benchmarks.verifiers import REFUSAL, SAFE_TASKS
from aflow_verl.checks.finding import Finding, error, missing, note
from aflow_verl.checks.machine import Machine
from aflow_verl.checks.model_size import expanded, read_config
from aflow_verl.config import KEY_VARIABLE, BenchmarkConfig
from aflow_verl.errors import RecipeError
from aflow_verl.models.catalog import check_client
from aflow_verl.models.smollm2 import NAME as SMOLLM2
from aflow_verl.recipe.load import Recipe

MOST_PROBLEMS = 100_000
"""In a split: all are made before the first step, a thousand a second or so, and a step reads a few dozen."""


def benchmarks(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """Every benchmark has its data and enough of it."""
    several = len(recipe.ours.benchmark) > 1
    names = [benchmark.name for benchmark in recipe.ours.benchmark]
    for name in sorted({name for name in names if names.count(name) > 1}):
        todo = "name it once; reasoning_gym takes several tasks"
        yield error("benchmark", f"{name} is named {names.count(name)} times, and trees are kept by name", todo)
    for i, benchmark in enumerate(recipe.ours.benchmark):
        key = f"benchmark[{i}]" if several or isinstance(recipe.get("benchmark"), list) else "benchmark"
        yield from _splits(key, benchmark, recipe)
        if benchmark.name == "gsm8k":
            yield from _gsm8k(key, benchmark, machine)
        elif benchmark.name == "reasoning_gym":
            yield from _reasoning_gym(key, benchmark)


def executor(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """The model inside the workflows can be reached."""
    settings = recipe.ours.models.executor
    try:
        check_client(settings, assume_keys=machine.assumed)
    except RecipeError as refused:
        key, _, what = str(refused).partition(": ")
        lacks_key = key == "models.executor.kind"
        yield missing(key, what, "", KEY_VARIABLE) if lacks_key else error(key, what, "")
        return
    if settings.kind != "local":
        return
    yield from _model(settings.model, "models.executor.model")
    if settings.device == "cuda" and machine.gpus == 0:
        todo = "set it to auto or cpu, or run on a machine with GPUs"
        yield missing(
            "models.executor.device", "cuda is asked for, and there is no GPU", todo, "a GPU for the executor"
        )


def simulation(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """Only the simulated model knows the simulated problems, and it knows no others."""
    simulated = recipe.ours.models.executor.kind == "simulated"
    names = {benchmark.name for benchmark in recipe.ours.benchmark}
    if simulated and names != {"simulated"}:
        todo = "use benchmark.name=simulated, or a real executor"
        yield error("models.executor.kind", "the simulated executor knows simulated problems only", todo)
    elif not simulated and "simulated" in names:
        todo = "use models.executor.kind=simulated, or a real benchmark"
        yield error("benchmark", "only the simulated executor knows simulated problems", todo)


def models(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """Policy and critic are directories with a model in them, or names to fetch."""
    yield from _model(recipe.get("actor_rollout_ref.model.path"), "actor_rollout_ref.model.path")
    critic = recipe.get("critic.model.path")
    if recipe.get("critic.enable") and critic != recipe.get("actor_rollout_ref.model.path"):
        yield from _model(critic, "critic.model.path")


def _model(path: str | None, key: str) -> Iterator[Finding]:
    if path is None:
        yield error(key, "is not set", f"name a transformers checkpoint, a hub name, or {SMOLLM2}")
        return
    directory = expanded(path)
    if directory.is_dir():
        if not (directory / "config.json").is_file():
            yield error(key, f"no config.json in {path}", "name a directory with a transformers checkpoint")
        elif read_config(directory) is None:
            yield error(key, f"config.json in {path} is no JSON mapping", "name an intact transformers checkpoint")
    elif path == SMOLLM2:
        yield note(key, f"{SMOLLM2} is fetched and converted at first use, then kept")
    elif re.fullmatch(r"[\w.-]+/[\w.-]+", path) and not directory.parent.is_dir():
        yield note(key, f"'{path}' is a name on the model hub, fetched at first use; not checked here")
    else:
        yield error(key, f"no directory '{path}'", f"name a transformers checkpoint, a hub name, or {SMOLLM2}")


def _splits(key: str, benchmark: BenchmarkConfig, recipe: Recipe) -> Iterator[Finding]:
    for split in ("train", "validation", "heldout"):
        size = getattr(benchmark, split)
        if size < 1:
            yield error(f"{key}.{split}", "a split needs problems", "set it to 1 or more")
        elif size > MOST_PROBLEMS:
            yield error(f"{key}.{split}", f"{size} problems", f"set it to {MOST_PROBLEMS} or less")
    if benchmark.train < recipe.ours.env.problems:
        what = f"{benchmark.train} problems, and a row is graded on {recipe.ours.env.problems} (env.problems)"
        yield error(f"{key}.train", what, "make it larger, or env.problems smaller")


def _gsm8k(key: str, benchmark: BenchmarkConfig, machine: Machine) -> Iterator[Finding]:
    if benchmark.path is None:
        todo = f"set {key}.path to a JSON-lines file with the fields question and answer"
        yield missing(f"{key}.path", "gsm8k needs a file, and none is named", todo, "a gsm8k file")
        return
    path = expanded(benchmark.path)
    if not path.is_file():
        if not machine.assumed:
            todo = "name a JSON-lines file with the fields question and answer"
            yield missing(f"{key}.path", f"no file '{benchmark.path}'", todo, f"the file {benchmark.path}")
        return
    try:
        count = len(read_rows(path))
    except RecipeError as refused:
        yield error(f"{key}.path", str(refused).removeprefix("benchmark.path: "), "mend it or name another file")
        return
    needed = benchmark.train + benchmark.validation + benchmark.heldout
    if count < needed:
        todo = "make train, validation or heldout smaller"
        yield error(f"{key}.path", f"{count} problems, and the splits need {needed}", todo)


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
        elif name not in SAFE_TASKS:
            close = get_close_matches(name, SAFE_TASKS, n=1, cutoff=0.3)
            todo = f"use another task, for example {close[0] if close else 'letter_counting'}"
            yield error(f"{key}.tasks", f"{name} can't be used: {REFUSAL}", todo)


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
