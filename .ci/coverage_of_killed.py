"""Coverage plug-in for processes that end without a word: Ray kills its workers, and coverage saves only at exit.

In every process that is measured a thread writes what was seen so far to a data file of its own, twice a second;
``coverage combine`` merges them with the others. It reads the collector's data without emptying it, because a flush
would lose the lines that long-running functions go on to execute.

Python 3.11's tracer sees threads that Python starts, so also the event loops of asyncio actors. It does not see
threads that Ray starts in C++: methods of threaded actors, and of concurrency groups, that are not ``async``.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from typing import Any

from coverage import Coverage, CoverageData

INTERVAL_SECONDS = 0.5


def coverage_init(registry: Any, options: Any) -> None:
    """Called by coverage where a measurement starts."""
    _start()
    os.register_at_fork(after_in_child=_start)


def _start() -> None:
    threading.Thread(target=_save_for_ever, daemon=True, name="coverage-of-killed").start()


def _save_for_ever() -> None:
    data: CoverageData | None = None
    saved = 0
    while True:
        time.sleep(INTERVAL_SECONDS)
        measurement = Coverage.current()
        collector = getattr(measurement, "_collector", None)
        if measurement is None or collector is None:
            continue
        with contextlib.suppress(RuntimeError):  # a dict grew while it was copied: next time
            lines = {file: set(numbers) for file, numbers in dict(collector.data).items()}
            count = sum(map(len, lines.values()))
            if count == saved:
                continue
            if data is None:
                suffix = f"running.{os.getpid()}.{time.monotonic_ns()}"
                data = CoverageData(basename=measurement.config.data_file, suffix=suffix)
            data.add_lines(lines)
            saved = count
