"""The models that are trained: model directories, or names on a hub."""

from __future__ import annotations

import re
from collections.abc import Iterator

from aflow_verl.checks.finding import Finding, error, note
from aflow_verl.checks.machine import Machine
from aflow_verl.checks.model_size import expanded, read_config
from aflow_verl.models.smollm2 import NAME as SMOLLM2
from aflow_verl.recipe.load import Recipe


def models(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """Policy and critic are directories with a model in them, or names to fetch."""
    yield from model_directory(recipe.get("actor_rollout_ref.model.path"), "actor_rollout_ref.model.path")
    critic = recipe.get("critic.model.path")
    if recipe.get("critic.enable") and critic != recipe.get("actor_rollout_ref.model.path"):
        yield from model_directory(critic, "critic.model.path")


def model_directory(path: str | None, key: str) -> Iterator[Finding]:
    """A transformers checkpoint, or the name of one."""
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
