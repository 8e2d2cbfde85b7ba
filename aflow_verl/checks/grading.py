"""Grades can tell workflows apart, and workflows can be graded at all."""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt

from aflow_verl.checks.benchmarks import keyed
from aflow_verl.checks.finding import Finding, warning
from aflow_verl.checks.machine import Machine
from aflow_verl.recipe.load import Recipe

PAIRED_DEVIATION = 0.24
"""Standard deviation of the difference of two workflows on one problem, in real AFlow runs (0.38 on MATH)."""
FEWEST = 3
"""Problems; with two a difference of workflows has a standard error of 0.17, five times what most edits change."""
LEAST_TOKENS = 4
LEAST_SECONDS, LEAST_MEMORY_MB, LEAST_CHARS = 0.05, 8, 16


def problems(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """There are enough problems to see a difference."""
    ours = recipe.ours
    trains = ours.kind == "train"
    if trains and ours.env.problems < FEWEST:
        effect = f"an edit's reward is luck: on {_of(ours.env.problems)}"
        yield warning("env.problems", effect, f"is {ours.env.problems}", "set it to 16 or more")
    for key, benchmark in keyed(recipe):
        for split, effect in (
            ("train", "the policy learns one problem or two by heart" if trains else "a new best is confirmed by luck"),
            ("validation", "the best workflow is chosen by luck"),
            ("heldout", "the comparison at the end says nothing"),
        ):
            size = getattr(benchmark, split)
            if 1 <= size < FEWEST:
                yield warning(f"{key}.{split}", f"{effect}: on {_of(size)}", f"is {size}", "set it to 24 or more")


def best_workflow(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """Somebody challenges the seed."""
    if recipe.ours.kind == "train" and recipe.ours.evaluation.candidates_per_step == 0:
        effect = "no workflow ever challenges the seed, which is what the run hands back"
        yield warning("evaluation.candidates_per_step", effect, "is 0", "set it to 1 or more")


def limits(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """Workflows, and the models behind them, have room to finish."""
    ours = recipe.ours
    fails = "every workflow fails or scores 0, whatever the policy does"
    floors: list[tuple[str, float, float]] = [
        ("models.executor.max_tokens", ours.models.executor.max_tokens, LEAST_TOKENS),
        ("sandbox.seconds", ours.sandbox.seconds, LEAST_SECONDS),
        ("sandbox.memory_mb", ours.sandbox.memory_mb, LEAST_MEMORY_MB),
        ("sandbox.max_output_chars", ours.sandbox.max_output_chars, LEAST_CHARS),
        ("sandbox.program_seconds", ours.sandbox.program_seconds, LEAST_SECONDS),
        ("sandbox.program_memory_mb", ours.sandbox.program_memory_mb, LEAST_MEMORY_MB),
    ]
    for key, value, least in floors:
        if value < least:
            yield warning(key, fails, f"is {value:g}", f"set it to {least:g} or more")
    if ours.asks_editor and ours.models.editor.max_tokens < 64:
        key, value = "models.editor.max_tokens", ours.models.editor.max_tokens
        yield warning(key, "no edit can be written", f"is {value}: a workflow has hundreds of tokens", "set it to 4096")


def _of(count: int) -> str:
    """``1 problem a difference of two workflows has a standard error of 0.24``."""
    noise = PAIRED_DEVIATION / sqrt(count)
    problems = f"{count} problem{'s' if count > 1 else ''}"
    return f"{problems} a difference of two workflows has a standard error of {noise:.2f}"
