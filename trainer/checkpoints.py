"""Which checkpoints are whole, and how many are kept.

verl writes a checkpoint in several files and names the newest one in a tracker file; a kill in between leaves a torn
one. Here a checkpoint counts once a marker is in it, written last and atomically.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from aflow_verl.checkpoints import FOLDER, MARKER, complete_checkpoints, latest_checkpoint

__all__ = ["complete_checkpoints", "keep_newest", "latest_checkpoint", "mark_complete", "remove_torn"]


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
            if FOLDER.search(path.name) and path not in whole:
                shutil.rmtree(path)


def keep_newest(folder: Path, count: int | None) -> None:
    """Delete all but the newest ``count`` whole checkpoints; None keeps all."""
    if count is None:
        return
    for _, path in complete_checkpoints(folder)[: -max(count, 1)]:
        (path / MARKER).unlink()  # torn from now on, should the removal be cut off
        shutil.rmtree(path)
