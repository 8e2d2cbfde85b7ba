"""Official files of all kinds -> objects that know where they stand."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from aflow_verl.benchmarks.rows import read_rows
from aflow_verl.errors import UserError

Placed = tuple[str, Mapping[str, Any]]
"""``file:position`` and the object there."""
READABLE = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".parquet")


def files_of(source: Path) -> list[Path]:
    """The files to read, sorted: ``source`` itself, or what is readable below a folder. Raises ``UserError``."""
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise UserError(f"--source: {source} does not exist")
    found = sorted(path for path in source.rglob("*") if path.is_file() and path.name.endswith(READABLE))
    if not found:
        raise UserError(f"--source: no {', '.join(READABLE)} file in {source}")
    return found


def part_of(files: Sequence[Path], source: Path, part: str) -> Sequence[Path]:
    """Of files below ``source``, those below or named like ``part``; all of them where there are none."""
    return [path for path in files if _is_part(path.relative_to(source), part)] or files


def _is_part(path: Path, part: str) -> bool:
    return any(name.startswith(part) for name in path.parts)


def read_objects(path: Path) -> Iterator[Placed]:
    """Raises ``UserError`` for a file that is not what its name says."""
    if path.suffix == ".parquet":
        yield from _parquet(path)
    elif path.name.endswith((".json", ".json.gz")):
        yield from _json(path)
    else:
        for row in read_rows(path):
            yield row.place, row.data


def _json(path: Path) -> Iterator[Placed]:
    """A list of objects, one object, or DROP's mapping of passage names to objects."""
    try:
        text = (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode("utf-8")
        content = json.loads(text)
    except (OSError, EOFError, ValueError, RecursionError) as broken:
        raise UserError(f"--source: {path} is not a JSON file: {broken}") from None
    if isinstance(content, dict):
        values = list(content.values())
        whole = not values or not all(isinstance(value, dict) and "qa_pairs" in value for value in values)
        content = [content] if whole else values
    for position, entry in enumerate(content if isinstance(content, list) else [content], start=1):
        if not isinstance(entry, dict):
            raise UserError(f"--source: {path}: entry {position} is not an object")
        yield f"{path}:{position}", entry


def _parquet(path: Path) -> Iterator[Placed]:
    import pyarrow
    import pyarrow.parquet

    try:
        rows = pyarrow.parquet.read_table(path).to_pylist()
    except (OSError, pyarrow.ArrowException) as broken:
        raise UserError(f"--source: {path} is not a parquet file: {' '.join(str(broken).split())}") from None
    for position, row in enumerate(rows, start=1):
        yield f"{path}:{position}", row
