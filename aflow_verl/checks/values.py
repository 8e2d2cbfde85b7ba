"""Ranges of single values."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf, isfinite

from aflow_verl.checks.finding import Finding, error
from aflow_verl.checks.machine import Machine
from aflow_verl.operators.catalog import OPERATORS
from aflow_verl.recipe.load import Recipe
from aflow_verl.schema import suggestion
from aflow_verl.workflow.instructions import LIBRARY
from aflow_verl.workflow.pipeline import EDITABLE_OPERATORS

_MODELS = ("models.executor", "models.editor")

RANGES: dict[str, tuple[float, float]] = {
    "env.steps": (1, inf),
    "env.problems": (1, inf),
    "env.invalid_penalty": (0, 1),
    "env.max_workflow_steps": (1, inf),
    "env.max_logs": (0, inf),
    "env.start.snapshot": (0, 1),
    "env.start.root": (0, 1),
    "env.start.random": (0, 1),
    "search.rl_weight": (0, 1),
    "search.c_puct": (0, inf),
    "search.c_ucb": (0, inf),
    "search.widening_a": (0, 1),
    "search.screen.nodes": (1, inf),
    "search.screen.proposals": (1, inf),
    "search.screen.epsilon": (0, 1),
    "search.soft_mixed.sample": (1, inf),
    "search.soft_mixed.alpha": (0, inf),
    "search.soft_mixed.lambda_": (0, 1),
    **{f"{model}.temperature": (0, inf) for model in _MODELS},
    **{f"{model}.resample_temperature": (0, inf) for model in _MODELS},
    **{f"{model}.max_tokens": (1, inf) for model in _MODELS},
    **{f"{model}.max_batch": (1, inf) for model in _MODELS},
    **{f"{model}.concurrency": (1, inf) for model in _MODELS},
    **{f"{model}.retries": (0, inf) for model in _MODELS},
    **{f"{model}.backoff_s": (0, inf) for model in _MODELS},
    **{f"{model}.patience_s": (0, inf) for model in _MODELS},
    "evaluation.candidates_per_step": (0, inf),
    "evaluation.retries": (0, inf),
    "evaluation.backoff_s": (0, inf),
    "sandbox.workers": (1, inf),
    "sandbox.memory_mb": (1, inf),
    "sandbox.max_output_chars": (1, inf),
    "sandbox.program_workers": (1, inf),
    "sandbox.program_memory_mb": (1, inf),
    "budget.usd": (0, inf),
    "budget.calls": (0, inf),
    "experience.replay_fraction": (0, 1),
    "experience.replay_rows": (1, inf),
    "health.patience": (1, inf),
    "standalone.rounds": (1, inf),
    "standalone.workers": (1, inf),
    "standalone.redraws": (0, inf),
    "standalone.convergence_z": (0, inf),
    "standalone.trained.step": (0, inf),
    "standalone.trained.max_batch": (1, inf),
    "algorithm.gigpo.omega": (0, inf),
}
"""Smallest and largest value of our keys, both allowed; for verl's see ``aflow_verl.recipe.verl_values``."""

POSITIVE = (
    "search.trust_k",
    "search.widening_k",
    "sandbox.seconds",
    "sandbox.program_seconds",
    *(f"{model}.timeout_s" for model in _MODELS),
    "standalone.trained.temperature",
    "actor_rollout_ref.rollout.temperature",
)

INSIDE_UNIT = {"evaluation.confidence": 0.95}
"""Probabilities that are neither 0 nor 1, each with a usual value."""

LABELS = 36
"""Digits and capital letters name the edits, one token each."""


def ranges(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """Every number lies where it can."""
    for key, (low, high) in RANGES.items():
        value = recipe.get(key)
        if value is not None and not (low <= value <= high and isfinite(value)):
            allowed = f"at least {low:g}" if not isfinite(high) else f"between {low:g} and {high:g}"
            yield error(key, f"{value!r} is out of range", f"it has to be {allowed}")
    for key in POSITIVE:
        value = recipe.get(key)
        if value is not None and not (value > 0 and isfinite(value)):
            yield error(key, f"{recipe.get(key)!r} is out of range", "it has to be above 0")
    for key, usual in INSIDE_UNIT.items():
        if not 0 < recipe.get(key) < 1:
            yield error(key, f"{recipe.get(key)!r} is out of range", f"it lies between 0 and 1, for example {usual}")


def start_mixture(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """The three starts share one probability."""
    start = recipe.ours.env.start
    total = start.snapshot + start.root + start.random
    if abs(total - 1.0) > 1e-6:
        yield error("env.start", f"snapshot, root and random sum to {total:g}", "make them sum to 1")


def edit_space(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """Operators, votes and instructions that edits may use."""
    env = recipe.ours.env
    if not env.operators:
        yield error("env.operators", "is empty", "name at least Custom")
    for count in env.samples:
        if count < 2:
            yield error("env.samples", f"a vote over {count} samples is none", "use counts from 2 on")
    for name in env.operators:
        if name not in OPERATORS:
            hint = suggestion(name, OPERATORS) or f"; choose from {', '.join(OPERATORS)}"
            yield error("env.operators", f"there is no operator '{name}'", hint.removeprefix("; "))
        elif env.action_format == "edit" and name not in EDITABLE_OPERATORS:
            todo = f"leave {name} out, or use env.action_format=code or suggest"
            yield error("env.operators", f"no edit adds {name} to a workflow", todo)
    # An upper bound of workflow.edits: replace or add an operator, remove a step, vote, instruct, stop.
    edits = 2 * len(env.operators) + env.max_workflow_steps + len(env.samples) + (len(env.instructions) or len(LIBRARY))
    if env.action_format == "edit" and edits > LABELS:
        what = f"up to {edits} legal edits, and {LABELS} labels"
        yield error("env.instructions", what, "offer fewer operators, instructions or sample counts")
    for name in env.instructions:
        if name not in LIBRARY:
            yield error(
                "env.instructions", f"no instruction '{name}' in the library", f"choose from {', '.join(LIBRARY)}"
            )
