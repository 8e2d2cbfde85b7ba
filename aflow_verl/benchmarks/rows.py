"""JSON lines -> rows that know where they stand."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aflow_verl.errors import RecipeError


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file."""

    place: str
    """``file:line``, for messages."""
    number: int
    """Line of the file, or position in it, from 1."""
    data: dict[str, Any]


def read_rows(path: Path) -> list[Row]:
    """The JSON objects of a JSON-lines file, plain or ``.gz``; empty lines are skipped.

    Raises ``RecipeError`` naming file and line.
    """
    rows: list[Row] = []
    try:
        for number, line in enumerate(_lines(path), start=1):
            if line.strip():
                rows.append(Row(f"{path}:{number}", number, _parse(f"{path}:{number}", line)))
    except FileNotFoundError:
        raise RecipeError(
            f"benchmark.path: {path} does not exist; name a prepared folder or a JSON-lines file"
        ) from None
    except (OSError, EOFError, zlib.error) as broken:
        raise RecipeError(f"benchmark.path: {path} can't be read: {broken}") from None
    except UnicodeDecodeError as broken:
        raise RecipeError(f"benchmark.path: {path} is not UTF-8 text ({broken.reason})") from None
    if not rows:
        raise RecipeError(f"benchmark.path: {path} has no rows")
    return rows


def _lines(path: Path) -> Iterator[str]:
    """Lines end at a line feed only: a text may hold other separators, such as U+2028."""
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        for line in file:
            yield line.decode("utf-8")


def _parse(place: str, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as broken:
        reason = broken.msg if isinstance(broken, json.JSONDecodeError) else "too deep or too large"
        raise RecipeError(f"benchmark.path: {place}: not JSON ({reason})") from None
    if not isinstance(row, dict):
        raise RecipeError(f"benchmark.path: {place}: not a JSON object")
    return row
