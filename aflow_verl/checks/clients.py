"""The models behind clients: executor and editor."""

from __future__ import annotations

from collections.abc import Iterator

from aflow_verl.checks.finding import Finding, error, missing
from aflow_verl.checks.inputs import model_directory
from aflow_verl.checks.machine import Machine
from aflow_verl.config import KEY_VARIABLES, ModelConfig
from aflow_verl.errors import RecipeError
from aflow_verl.models.catalog import check_client
from aflow_verl.models.keys import key_variable, server_of
from aflow_verl.recipe.load import Recipe

SERVERS = ("hf", "vllm")
"""Rollout servers that workflows may ask: those that take a seed for each call."""


def executor(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """The model inside the workflows can be reached."""
    yield from _client(recipe, machine, recipe.ours.models.executor, "models.executor")


def editor(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """So can the one that writes what the policy suggests, where the policy suggests, or that edits where none is."""
    settings = recipe.ours.models.editor
    if not recipe.ours.asks_editor:
        return
    if settings.kind == "simulated":
        todo = "use anthropic, openai, local or rollout"
        yield error("models.editor.kind", "the simulated model can't write workflows", todo)
        return
    yield from _client(recipe, machine, settings, "models.editor")


def simulation(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """Only the simulated model knows the simulated problems, and it knows no others.

    A server of one's own may be a stand-in that knows them, and the policy itself may learn what it likes.
    """
    settings = recipe.ours.models.executor
    names = {benchmark.name for benchmark in recipe.ours.benchmark}
    vendors = settings.kind in KEY_VARIABLES and server_of(settings) is None
    if settings.kind == "simulated" and names != {"simulated"}:
        todo = "use benchmark.name=simulated, or a real executor"
        yield error("models.executor.kind", "the simulated executor knows simulated problems only", todo)
    elif (settings.kind == "local" or vendors) and "simulated" in names:
        todo = "use models.executor.kind=simulated, or a real benchmark"
        yield error("benchmark", "only the simulated executor knows simulated problems", todo)


def _client(recipe: Recipe, machine: Machine, settings: ModelConfig, where: str) -> Iterator[Finding]:
    try:
        check_client(settings, where=where, assume_keys=machine.assumed, budget_usd=recipe.ours.budget.usd)
    except RecipeError as refused:
        key, _, what = str(refused).partition(": ")
        lacks_key = settings.kind in KEY_VARIABLES and "which is not set" in what
        yield missing(key, what, "", key_variable(settings)) if lacks_key else error(key, what, "")
        return
    if settings.kind == "rollout":
        yield from _policy(recipe, settings, where)
    if settings.kind != "local":
        return
    yield from model_directory(settings.model, f"{where}.model")
    if settings.device == "cuda" and machine.gpus == 0:
        todo = "set it to auto or cpu, or run on a machine with GPUs"
        yield missing(f"{where}.device", "cuda is asked for, and there is no GPU", todo, f"a GPU for the {where[7:]}")


def _policy(recipe: Recipe, settings: ModelConfig, where: str) -> Iterator[Finding]:
    server, context = "actor_rollout_ref.rollout.name", "actor_rollout_ref.rollout.max_model_len"
    if recipe.get(server) not in SERVERS:
        what = f"the policy can't be asked on a '{recipe.get(server)}' rollout server"
        yield error(f"{where}.kind", what, f"set {server} to {' or '.join(SERVERS)}, or use another kind")
    room = recipe.get(context)
    if room is not None and room <= settings.max_tokens:
        what = f"{settings.max_tokens} tokens a reply leave no room for a prompt in {room} ({context})"
        yield error(f"{where}.max_tokens", what, "make it smaller")
