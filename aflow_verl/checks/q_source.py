"""Scoring on demand: somebody has use for it, and the machine has room for the copy of the critic."""

from __future__ import annotations

from collections.abc import Iterator

from aflow_verl.checks.finding import Finding, error, note
from aflow_verl.checks.machine import Machine
from aflow_verl.checks.model_size import parameters
from aflow_verl.recipe.load import Recipe

KEY = "search.q_source"
SINGLE = ("fp32", "float32")
"""Names of the type that takes four bytes a parameter; all others that a critic computes in take two."""
USABLE = 0.5
"""Share of the machine's memory that the copy may take; the rest is for workers, object store and sandboxes."""


def served(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """A copy of the critic needs a critic, a search that weighs its values, and weights that are a model's own."""
    if recipe.ours.search.q_source == "snapshot":
        return
    if recipe.ours.search.rl_weight == 0:
        yield error(KEY, "server, and search.rl_weight is 0: nobody would use the values", "set it to snapshot")
    if not recipe.get("critic.enable"):
        yield error(KEY, "server, and critic.enable is false: there is no critic to copy", "set it to snapshot")
    if (recipe.get("critic.model.lora_rank") or 0) > 0 or recipe.get("critic.model.lora_adapter_path") is not None:
        yield error(KEY, "server can't hold a critic with adapters (critic.model.lora_rank)", "set it to snapshot")


def memory(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """Beside everything else, the copy lies in the memory of the trainer's node."""
    if recipe.ours.search.q_source == "snapshot":
        return
    size = parameters(recipe.get("critic.model.path"))
    if size is None:
        yield note(KEY, "server: the size of the critic is unknown; memory for its copy is not checked")
        return
    single = recipe.get("critic.fsdp.mixed_precision.param_dtype") in SINGLE
    need_gb = size * (4 if single else 2) / 1e9
    what = f"server: about {need_gb:.1f} GB for the copy of the critic ({size / 1e9:.1f} billion parameters)"
    if machine.memory_gb is None:
        yield note(KEY, what)
    elif need_gb > USABLE * machine.memory_gb:
        yield error(KEY, f"{what}, of {machine.memory_gb:.0f} GB", "set it to snapshot, or use a larger machine")


def of_training(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """A search without training has no exports."""
    if recipe.ours.search.q_source != "snapshot":
        what = "is for training; a search asks its critic for every new workflow anyway"
        yield error(KEY, what, "leave it out")
