"""What of the file system the process can reach (landlock(7)): given paths to read, one directory to write.

Landlock rules where no file has permissions that would let the process in, and adds to them. What it doesn't rule,
seccomp does: changing modes, owners and times, and truncating by path.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterable

from aflow_verl.sandbox.process.layers import linux

_WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE = 1 << 1, 1 << 2, 1 << 3, 1 << 14
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_REG, _MOVE = 1 << 4, 1 << 5, 1 << 7, 1 << 8, 1 << 13
_RIGHTS_BY_ABI = {1: 13, 2: 14, 3: 15, 5: 16}
"""ABI -> how many file rights it knows (the lowest bits of the mask); an ABI not named: as many as the one before."""
_NETWORK = 0b11
"""bind and connect of TCP, from ABI 4."""
_SCOPES = 0b11
"""Abstract Unix sockets and signals to processes outside, from ABI 6."""
_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH = 1


class _Ruleset(ctypes.Structure):
    _fields_ = [("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64)]


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("descriptor", ctypes.c_int32)]


def abi() -> int:
    """Version of the kernel's Landlock. Raises OSError where it has none, or it is switched off."""
    return linux.syscall(linux.LANDLOCK_CREATE_RULESET, 0, 0, _CREATE_RULESET_VERSION)


def ruleset(readable: Iterable[str], writable: Iterable[str], listable: Iterable[str] = ()) -> int:
    """A descriptor of the rules, for ``apply``. Paths that don't exist are left out. Raises OSError.

    ``listable``: directories whose names may be seen, without what is in the files.
    """
    version = abi()
    files = (1 << max(n for least, n in _RIGHTS_BY_ABI.items() if least <= version)) - 1
    attributes = _Ruleset(files, _NETWORK if version >= 4 else 0, _SCOPES if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    rules = linux.syscall(linux.LANDLOCK_CREATE_RULESET, ctypes.addressof(attributes), size, 0)
    read = _READ_FILE | _READ_DIR
    write = read | _WRITE_FILE | _TRUNCATE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _MOVE
    for paths, allowed in ((readable, read), (writable, write), (listable, _READ_DIR)):
        for path in paths:
            _allow(rules, path, allowed & files)
    return rules


def apply(rules: int) -> None:
    """Needs ``no_new_privs``. Raises OSError."""
    linux.syscall(linux.LANDLOCK_RESTRICT_SELF, rules, 0)


def _allow(rules: int, path: str, allowed: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
        allowed &= _READ_FILE | _WRITE_FILE | _TRUNCATE
    rule = _PathBeneath(allowed, descriptor)
    linux.syscall(linux.LANDLOCK_ADD_RULE, rules, _RULE_PATH_BENEATH, ctypes.addressof(rule), 0)
    os.close(descriptor)
