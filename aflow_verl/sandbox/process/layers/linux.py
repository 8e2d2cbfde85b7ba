"""System calls that CPython has no function for."""

from __future__ import annotations

import ctypes
import os
import platform
from typing import Any

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_KEEPCAPS, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 4, 8, 22, 38
CAPSET = {"x86_64": 126, "aarch64": 91}
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446

M_ARENA_MAX = -8


def libc(name: str, *arguments: int | bytes | Any) -> int:
    """Calls a function of the C library. Raises OSError where it returns -1."""
    return _checked(name, getattr(_LIBC, name)(*map(_as_c, arguments)))


def syscall(number: int, *arguments: int | bytes | Any) -> int:
    """Raises OSError."""
    return _checked(f"system call {number}", _LIBC.syscall(*map(_as_c, (number, *arguments))))


def prctl(option: int, value: int | Any, more: int | Any = 0) -> None:
    """Raises OSError."""
    libc("prctl", option, value, more, 0, 0)


def machine() -> str:
    """``x86_64`` or ``aarch64``. Raises OSError on others: their system call numbers are not in the tables."""
    name = platform.machine()
    if name not in CAPSET:
        raise OSError(f"no table of system calls for {name}")
    return name


def _as_c(argument: Any) -> Any:
    return ctypes.c_long(argument) if isinstance(argument, int) else argument


def _checked(what: str, result: int) -> int:
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result
