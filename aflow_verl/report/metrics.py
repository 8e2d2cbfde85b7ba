"""``metrics.jsonl`` of a run directory: one JSON object a training step, ``{"step": k, name: number or null, ...}``."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILE_NAME = "metrics.jsonl"

Line = Mapping[str, Any]


def number(line: Line, name: str) -> float | None:
    """The value of a metric; None where it is missing, ``null`` or no number."""
    value = line.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def read_metrics(path: Path) -> list[Line]:
    """Every whole line of the file, the last one for each step, in the order of steps; [] if there is no file."""
    by_step = {line["step"]: line for line in follow(path).read()}
    return [by_step[step] for step in sorted(by_step)]


def follow(path: Path, *, skip_existing: bool = False) -> Follower:
    """A reader that returns what was added since its last ``read``; with ``skip_existing`` from now on."""
    follower = Follower(path)
    if skip_existing:
        follower.read()
    return follower


class Follower:
    """Incremental reader of a metrics file. A resumed run rewrites the file: known lines are not returned again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode: int | None = None
        self._offset = 0
        self._seen: set[bytes] = set()

    def read(self) -> list[Line]:
        """The whole new lines, in the order of the file; a line that is still being written waits for the next call."""
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            return []
        with file:
            status = os.fstat(file.fileno())
            if status.st_ino != self._inode or status.st_size < self._offset:
                self._inode, self._offset = status.st_ino, 0
            file.seek(self._offset)
            whole, _, _ = file.read().rpartition(b"\n")
        if not whole:
            return []
        self._offset += len(whole) + 1
        fresh = [text for text in whole.split(b"\n") if text not in self._seen]
        self._seen.update(fresh)
        return [line for line in map(_parse, fresh) if line is not None]


def _parse(text: bytes) -> Line | None:
    """None for a line that a kill cut off."""
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) and isinstance(line.get("step"), int) else None
