"""What a search without training asks for beyond what every run does."""

from __future__ import annotations

from collections.abc import Iterator

from aflow_verl.checks.finding import Finding, error
from aflow_verl.checks.machine import Machine
from aflow_verl.recipe.load import Recipe


def one_benchmark(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """A search has one tree."""
    if len(recipe.ours.benchmark) > 1:
        yield error("benchmark", "a search is of one benchmark", "name one, and search another one in a run of its own")


def no_replay(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """Rows are replayed to a critic that is trained, and only training has episodes that start at random."""
    experience = recipe.ours.experience
    if experience.replay_fraction > 0:
        what = f"is {experience.replay_fraction:g}, and without training no critic learns from replayed rows"
        yield error("experience.replay_fraction", what, "set it to 0")
    if experience.sampling != "uniform":
        what = f"is '{experience.sampling}', and without training nothing is sampled"
        yield error("experience.sampling", what, "set it to uniform")


def no_policy(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """No policy is trained beside the search."""
    for role in ("executor", "editor"):
        if getattr(recipe.ours.models, role).kind == "rollout":
            what = "'rollout' is the policy of a training run, and here is none"
            yield error(f"models.{role}.kind", what, "use anthropic, openai or local")
