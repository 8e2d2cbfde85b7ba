"""Limits on what one process may use, kept by the kernel (setrlimit(2))."""

from __future__ import annotations

import resource
from pathlib import Path

OPEN_FILES = 64
THREADS = 64
STACK_BYTES = 8 << 20
FILE_BYTES = 16 << 20
"""Of one file; the private directory as a whole holds no more (``rootfs``)."""


def address_space() -> int:
    """Bytes of address space that this process has mapped."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def apply(*, address_bytes: int, cpu_s: int, file_bytes: int, threads: int) -> None:
    """Hard limits, so that no later call raises them. ``file_bytes`` 0: nothing can be written to any file.

    Raises OSError or ValueError where a limit can't be set.
    """
    wanted = {
        resource.RLIMIT_AS: address_bytes,
        resource.RLIMIT_CPU: cpu_s,
        resource.RLIMIT_FSIZE: file_bytes,
        resource.RLIMIT_NPROC: threads,
        resource.RLIMIT_NOFILE: OPEN_FILES,
        resource.RLIMIT_STACK: STACK_BYTES,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_SIGPENDING: THREADS,
    }
    for kind, value in wanted.items():
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))
