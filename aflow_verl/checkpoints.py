"""Which checkpoints of a training are whole: those with a marker in them, written last and atomically."""

from __future__ import annotations

import re
from pathlib import Path

MARKER = "complete"
FOLDER = re.compile(r"global_step_(\d+)$")
POLICY, CRITIC = "actor", "critic"
"""verl's folders in a checkpoint."""


def complete_checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """(step, path) of the whole checkpoints below ``folder``, oldest first."""
    if not folder.is_dir():
        return []
    found = [(int(match.group(1)), path) for path in folder.iterdir() if (match := FOLDER.search(path.name))]
    return sorted((step, path) for step, path in found if (path / MARKER).exists())


def latest_checkpoint(folder: Path) -> tuple[int, Path] | None:
    """The newest whole checkpoint, or None."""
    whole = complete_checkpoints(folder)
    return whole[-1] if whole else None
