"""A run directory can be written to, and belongs to this recipe."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from aflow_verl.checks.finding import Finding, error, missing
from aflow_verl.checks.machine import Machine
from aflow_verl.errors import UserError
from aflow_verl.recipe.load import BASE, Recipe
from aflow_verl.search.storage.address import DRIVER, INSTALL, SQLITE, read_address

RESOLVED = "recipe.resolved.yaml"
"""The recipe of the run, as it was when the run began."""

MAY_CHANGE = (
    "run_dir",
    "ray_kwargs",
    "trainer.total_epochs",
    "trainer.total_training_steps",
    "actor_rollout_ref.actor.optim.total_training_steps",
    "critic.optim.total_training_steps",
    "trainer.save_freq",
    "trainer.test_freq",
    "trainer.logger",
    "trainer.resume_mode",
    "trainer.resume_from_path",
    "trainer.default_local_dir",
    "trainer.max_actor_ckpt_to_keep",
    "trainer.max_critic_ckpt_to_keep",
    *(
        f"models.{role}.{key}"
        for role in ("executor", "editor")
        for key in (
            "base_url",
            "key_variable",
            "prompt_caching",
            "concurrency",
            "max_batch",
            "timeout_s",
            "retries",
            "backoff_s",
            "patience_s",
        )
    ),
    "evaluation.retries",
    "evaluation.backoff_s",
    "sandbox.workers",
    "sandbox.program_workers",
    "sandbox.minimum_level",
    "sandbox.url",
    "budget",
    "health",
    "standalone.rounds",
    "standalone.workers",
    "standalone.convergence",
    "standalone.convergence_z",
    "standalone.trained.max_batch",
)
"""Keys, with all below them, that a resumed run may have otherwise: they change neither data nor what is learned."""


def writable(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """The directory, or the nearest one above it that exists, takes new files."""
    place = recipe.run_dir
    try:
        while not place.exists():
            place = place.parent
        directory = place.is_dir()
    except OSError as closed:
        yield error("run_dir", f"{place}: {closed.strerror}", "name another directory")
        return
    if not directory:
        yield error("run_dir", f"{place} is a file", "name a directory")
    elif not _takes_files(place):
        yield error("run_dir", f"{place} can't be written to", "name another directory")


def store(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """The tree's file has a name, and no directory has it; a URL is one of a database."""
    if recipe.ours.store.url is not None:
        yield from _database(recipe.ours.store.url, machine)
        return
    path = recipe.ours.store.path
    if not path or os.path.isdir(recipe.run_dir / path):
        yield error(
            "store.path", f"'{path}' is no file" if path else "is empty", "name a file, for example tree.sqlite"
        )


def _database(text: str, machine: Machine) -> Iterator[Finding]:
    key = "store.url"
    try:
        url = read_address(text)
    except UserError as mistake:
        what, _, todo = str(mistake).removeprefix(f"{key}: ").partition("; ")
        yield error(key, what, todo)
        return
    if url.password is not None:
        what = "has a password, which would stand in the run directory's files"
        yield error(key, what, "leave it out, and use PGPASSWORD or ~/.pgpass")
    elif url.drivername == SQLITE and not os.path.isabs(str(url.database)):
        yield error(key, f"{url.database} is a relative path", "write it in full: sqlite:////path/of/a/file")
    elif url.drivername != SQLITE and not machine.has_package(DRIVER):
        yield missing(key, f"PostgreSQL needs {DRIVER}, which is not installed", INSTALL, DRIVER)


def _takes_files(directory: Path) -> bool:
    """Tried, because the permissions don't tell: nobody writes to /proc, root included. Leaves nothing behind."""
    if not os.access(directory, os.W_OK | os.X_OK):
        return False
    try:
        with tempfile.TemporaryFile(dir=directory):
            return True
    except OSError:
        return False


def same_recipe(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """A directory with a run in it is resumed by the recipe that began it, and by no other."""
    stored = recipe.run_dir / RESOLVED
    if not os.path.isfile(stored):
        return
    try:
        before = _flat(yaml.safe_load(stored.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        yield error("run_dir", f"{stored} can't be read", "name another run_dir to begin anew")
        return
    now = _flat(yaml.safe_load(recipe.to_yaml()))
    # A run that began before a key existed was made with what is the key's default since.
    defaults = _flat(yaml.safe_load(BASE.read_text(encoding="utf-8")))
    before = {key: value for key, value in defaults.items() if key in now} | before
    for key in sorted(before.keys() | now.keys()):
        if before.get(key) != now.get(key) and not _may_change(key):
            what = f"is {now.get(key)!r}, and the run in {recipe.run_dir} began with {before.get(key)!r}"
            yield error(key, what, "use the same value to resume, or another run_dir to begin anew")
            return


def _may_change(key: str) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in MAY_CHANGE)


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted keys -> leaves; lists are leaves."""
    if not isinstance(value, dict):
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, child in value.items():
        flat |= _flat(child, f"{prefix}.{key}" if prefix else str(key))
    return flat
