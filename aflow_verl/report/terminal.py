"""The terminal is for the person who waits; all else that this process and its children print is for ``log.txt``.

File descriptors are redirected, not ``sys.stdout``, so that Ray, verl and C libraries are caught too.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

STDOUT, STDERR = 1, 2


@dataclass(frozen=True)
class Terminal:
    """The process's original output streams, line-buffered."""

    out: TextIO
    err: TextIO


@contextlib.contextmanager
def output_to_log(log: Path) -> Iterator[Terminal]:
    """While the block runs, stdout and stderr (descriptors 1 and 2) append to ``log``.

    Children started in the block inherit the log, and none of the terminal. Both descriptors are restored at the end,
    also after an exception.

    Raises:
        OSError: the log can't be opened; nothing is redirected then.
    """
    with contextlib.ExitStack() as stack:
        target = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        stack.callback(os.close, target)
        out = stack.enter_context(_copy_of(STDOUT))
        err = stack.enter_context(_copy_of(STDERR))
        stack.callback(_restore, out, err)
        _flush()
        os.dup2(target, STDOUT)
        os.dup2(target, STDERR)
        yield Terminal(out, err)


def _copy_of(descriptor: int) -> TextIO:
    """A line-buffered text stream on a duplicate of ``descriptor``; children don't inherit it."""
    return os.fdopen(os.dup(descriptor), "w", buffering=1, encoding="utf-8", errors="replace")


def _restore(out: TextIO, err: TextIO) -> None:
    _flush()
    out.flush()
    err.flush()
    os.dup2(out.fileno(), STDOUT)
    os.dup2(err.fileno(), STDERR)


def _flush() -> None:
    """Empty the buffers of Python and of the C library, so that each text lands where it was meant to."""
    sys.stdout.flush()
    sys.stderr.flush()
    ctypes.CDLL(None).fflush(None)
