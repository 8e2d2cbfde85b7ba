"""A search with what a training has left: the weights are there, and are asked in the way that they have learned."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from aflow_verl.checks.finding import Finding, error, missing, note
from aflow_verl.checks.machine import Machine
from aflow_verl.errors import UserError
from aflow_verl.recipe.load import Recipe
from aflow_verl.trained.training import Manner, Trained, weights_of

KEY = "standalone.trained"
LEARNED = ("operators", "max_workflow_steps", "samples", "instructions", "max_logs")
"""Keys of ``env`` that a policy has learned with."""


def weights(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """What the recipe names is there."""
    settings = recipe.ours.standalone.trained
    if settings.run is None:
        for name in ("step", "temperature"):
            if getattr(settings, name) is not None:
                yield error(f"{KEY}.{name}", "is set, and no training is named", f"set {KEY}.run, or set it to null")
        return
    if settings.device == "cuda" and machine.gpus == 0:
        todo = "set it to auto or cpu, or run on a machine with GPUs"
        yield missing(f"{KEY}.device", "cuda is asked for, and there is no GPU", todo, "a GPU for the policy")
    try:
        weights_of(settings, recipe.run_dir)
    except UserError as absent:
        if not Path(settings.run).expanduser().exists():
            todo = "train first (recipes/qwen7b.yaml), or name the run directory of another training"
            if not machine.assumed:
                yield missing(f"{KEY}.run", f"no '{settings.run}'", todo, "the training that is named")
            return
        what, _, todo = str(absent).partition("; ")
        yield error(f"{KEY}.run", what, todo)


def critic(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """A search that weighs Q needs somebody who has learned it."""
    weight, trained = recipe.ours.search.rl_weight, _found(recipe)
    if weight > 0 and recipe.ours.standalone.trained.run is None:
        what = f"is {weight:g}, and without training there is no critic whose Q it could weigh"
        yield error("search.rl_weight", what, f"set it to 0, or name a training in {KEY}.run")
    elif weight > 0 and trained is not None and not trained.has_critic:
        what = f"is {weight:g}, and {trained.source} has no critic"
        yield error("search.rl_weight", what, "set it to 0, or name a training with critic.enable=true")
    elif weight == 0 and trained is not None:
        yield note("search.rl_weight", "is 0: the policy edits, its critic is not asked")


def manner(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """The policy is shown, and may reply, what it has seen in its training."""
    trained, env = _found(recipe), recipe.ours.env
    if trained is None:
        return
    learned = trained.manner
    if env.action_format != learned.action_format:
        what = f"is '{env.action_format}', and the policy has learned '{learned.action_format}'"
        yield error("env.action_format", what, f"set it to {learned.action_format}")
        return
    others = [f"env.{name}" for name in LEARNED if getattr(env, name) != getattr(learned, name)]
    others += ["benchmark.name"] if _elsewhere(recipe, learned) else []
    if others:
        yield note(others[0], f"the policy was trained with other values of {', '.join(others)}")


def _elsewhere(recipe: Recipe, learned: Manner) -> bool:
    return any(benchmark.name not in learned.benchmarks for benchmark in recipe.ours.benchmark)


def _found(recipe: Recipe) -> Trained | None:
    """None where none is named, or it isn't there; ``weights`` says so."""
    settings = recipe.ours.standalone.trained
    if settings.run is None:
        return None
    try:
        return weights_of(settings, recipe.run_dir)
    except UserError:
        return None
