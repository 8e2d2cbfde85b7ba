"""Where programs run: the backend suits the benchmarks, and this machine has it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

from aflow_verl.benchmarks.catalog import requirements
from aflow_verl.checks.finding import Finding, error, missing
from aflow_verl.checks.machine import Machine
from aflow_verl.config import BenchmarkConfig
from aflow_verl.errors import RecipeError, SandboxUnavailable
from aflow_verl.recipe.load import Recipe
from aflow_verl.sandbox.process.level import reaches, refusal
from aflow_verl.sandbox.process.probe import probe

KEY = "sandbox.programs"


def backend(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """``sandbox.programs`` can run what operators and benchmarks need."""
    programs = recipe.ours.sandbox.programs
    if programs != "process":
        for benchmark in filter(_needs_cpython, recipe.ours.benchmark):
            what = f"{_named(benchmark)} graded by CPython programs, which '{programs}' can't run"
            yield error(KEY, what, "set it to process")
    if programs == "remote":
        yield from _remote(recipe)
    elif programs == "process" and not machine.assumed:
        yield from _process(recipe)


def _needs_cpython(benchmark: BenchmarkConfig) -> bool:
    try:
        needed = requirements([benchmark])
    except RecipeError:  # of a task's spelling; the check of the benchmark says so
        return False
    return needed.calls or bool(needed.preload)


def _named(benchmark: BenchmarkConfig) -> str:
    tasks = [task for task in benchmark.tasks if _needs_cpython(replace(benchmark, tasks=(task,)))]
    return f"the task {tasks[0]} is" if tasks else f"{benchmark.name} is"


def _remote(recipe: Recipe) -> Iterator[Finding]:
    url = recipe.ours.sandbox.url
    if url is None:
        yield error(
            "sandbox.url", "is not set, and programs run at a remote endpoint", "for example http://localhost:8080"
        )
        return
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        sound = False
    if not sound:
        yield error("sandbox.url", f"'{url}' is no address", "use one like http://localhost:8080")


def _process(recipe: Recipe) -> Iterator[Finding]:
    if sys.platform != "linux":
        yield missing(KEY, "process needs Linux", "set it to monty or remote", "Linux, for the process sandbox")
        return
    minimum = recipe.ours.sandbox.minimum_level
    try:
        layers = asyncio.run(probe())
    except SandboxUnavailable as broken:
        yield missing(KEY, str(broken), "set it to monty or remote", "a process sandbox")
        return
    if not reaches(layers.level, minimum):
        what = refusal(layers, minimum).removeprefix("sandbox.minimum_level ")
        yield missing("sandbox.minimum_level", what, "", f"{minimum} programs")
