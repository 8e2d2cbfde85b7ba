"""The store of a run, as its recipe says, and the name that the run has in it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from aflow_verl.config import StoreConfig
from aflow_verl.search.store import MAIN, Store

RUN_ID = "run_id"
"""File of the run directory: what the run is called in a store that it may share. It moves with the directory."""


def open_run_store(settings: StoreConfig, run_dir: Path) -> Store:
    """Opens it; raises what ``Store`` does. Its ``notices`` are for the user."""
    if settings.url is not None:
        return Store(settings.url, _run_id(run_dir))
    path = run_dir / settings.path
    own = path.resolve().is_relative_to(run_dir.resolve())
    return Store(path, MAIN if own else _run_id(run_dir))


def has_begun(settings: StoreConfig, run_dir: Path) -> bool:
    """Whether the run has opened its store before."""
    return (run_dir / RUN_ID).exists() or (settings.url is None and (run_dir / settings.path).exists())


def _run_id(run_dir: Path) -> str:
    """The directory's name, for people, and some letters, because others may have the same name."""
    file = run_dir / RUN_ID
    if not file.exists():
        run_dir.mkdir(parents=True, exist_ok=True)
        unfinished = run_dir / f".{RUN_ID}"
        unfinished.write_text(f"{run_dir.resolve().name}-{secrets.token_hex(8)}", encoding="utf-8")
        os.replace(unfinished, file)
    return file.read_text(encoding="utf-8")
