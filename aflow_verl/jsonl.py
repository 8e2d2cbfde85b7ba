"""A file of JSON lines that a run appends to and a resumed run cuts back."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any


class JsonLines:
    """One JSON object a line. A line cut off by a kill is ignored."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, lines: Iterable[dict[str, Any]]) -> None:
        """Durable when it returns."""
        with self._path.open("a") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> list[dict[str, Any]]:
        """All whole lines."""
        if not self._path.exists():
            return []
        lines = []
        for text in self._path.read_text().splitlines():
            try:
                lines.append(json.loads(text))
            except json.JSONDecodeError:
                continue
        return lines

    def keep(self, wanted: Callable[[dict[str, Any]], bool]) -> None:
        """Drop all other lines, in one atomic replacement of the file."""
        kept = [line for line in self.read() if wanted(line)]
        temporary = self._path.with_suffix(".tmp")
        temporary.write_text("".join(json.dumps(line) + "\n" for line in kept))
        os.replace(temporary, self._path)
