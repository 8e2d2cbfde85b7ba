"""Which checkpoints are whole, and how many are kept.

verl writes a checkpoint in several files and names the newest one in a tracker file; a kill in between leaves a torn
one. Here a checkpoint counts once a marker is in it, written last and atomically.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

MARKER = "complete"
_FOLDER = re.compile(r"global_step_(\d+)$")


def complete_checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """(step, path) of the whole checkpoints below ``folder``, oldest first."""
    if not folder.is_dir():
        return []
    found = [(int(match.group(1)), path) for path in folder.iterdir() if (match := _FOLDER.search(path.name))]
    return sorted((step, path) for step, path in found if (path / MARKER).exists())


def latest_checkpoint(folder: Path) -> tuple[int, Path] | None:
    """The newest whole checkpoint, or None."""
    whole = complete_checkpoints(folder)
    return whole[-1] if whole else None


def mark_complete(checkpoint: Path) -> None:
    """Declare a checkpoint whole. Against a killed process this is enough; a power cut within seconds may tear it."""
    temporary = checkpoint / f".{MARKER}"
    temporary.touch()
    os.replace(temporary, checkpoint / MARKER)


def remove_torn(folder: Path) -> None:
    """Delete checkpoints that a kill left unfinished."""
    whole = {path for _, path in complete_checkpoints(folder)}
    if folder.is_dir():
        for path in folder.iterdir():
            if _FOLDER.search(path.name) and path not in whole:
                shutil.rmtree(path)


def keep_newest(folder: Path, count: int | None) -> None:
    """Delete all but the newest ``count`` whole checkpoints; None keeps all."""
    if count is None:
        return
    for _, path in complete_checkpoints(folder)[: -max(count, 1)]:
        (path / MARKER).unlink()  # torn from now on, should the removal be cut off
        shutil.rmtree(path)
