"""One process at a time on a run directory."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import Self

from aflow_verl.errors import UserError

_POLL_SECONDS = 0.2


class RunLock:
    """An advisory lock on a file; the operating system lets go of it when the process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def acquire(self, timeout_s: float = 0.0) -> Self:
        """Raises UserError where another process still has it after ``timeout_s``."""
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        end = time.monotonic() + timeout_s
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return self
            except BlockingIOError:
                if time.monotonic() >= end:
                    os.close(self._file)
                    raise UserError(
                        f"{self._path.parent}: another run uses this directory; wait for it or name another run_dir"
                    ) from None
                time.sleep(_POLL_SECONDS)

    def release(self) -> None:
        """Let go of it; again is harmless."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
