"""A file system that holds what an interpreter needs, read-only, and nothing else; per run a private directory.

The root is a fresh tmpfs; each readable path is bound at its own place, so that what Python remembers of its paths
stays true, whoever may enter the directories above it outside.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from aflow_verl.sandbox.process.layers import linux

PRIVATE_PLACES = ("/tmp", "/var/tmp", "/private")
"""Where a run's directory may be: where programs look for one, unless the interpreter itself lies there."""
PRIVATE_MB, PRIVATE_FILES = 16, 1000
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")
_RDONLY, _NOSUID, _NODEV, _NOEXEC, _REMOUNT, _BIND, _REC, _PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
_DETACH = 2
_OLD = "/old"
_LOCKED = {os.ST_NOSUID: _NOSUID, os.ST_NODEV: _NODEV, os.ST_NOEXEC: _NOEXEC}
"""statvfs flag -> mount flag: what the host set on a mount can't be taken off a bind of it."""


def build(readable: Iterable[str], hidden: Iterable[str], reopened: Iterable[str]) -> None:
    """Makes the new root that of this process. Needs an own mount namespace. Raises OSError.

    ``hidden``: directories below readable ones that are shown empty; ``reopened``: paths shown all the same.
    """
    shown, again = _places(readable), _places(reopened)
    linux.libc("mount", b"none", b"/", None, _REC | _PRIVATE, None)
    _mount_tmpfs("/tmp", "mode=755,size=4m")
    os.mkdir(f"/tmp{_OLD}")
    os.chdir("/tmp")
    linux.syscall(linux.PIVOT_ROOT[linux.machine()], b".", _OLD[1:].encode())
    os.chdir("/")
    for place, source in shown.items():
        _show(place, source, _NODEV)
    for path in hidden:
        _mount_tmpfs(path, "mode=755,size=4m")
    for place, source in again.items():
        _show(place, source, _NODEV)
    for path in DEVICES:
        _show(path, path, 0)
    os.makedirs(private_place([*shown, *again]))
    linux.libc("umount2", _OLD.encode(), _DETACH)
    os.rmdir(_OLD)
    for path in (*hidden, "/"):
        linux.libc("mount", b"none", path.encode(), None, _REMOUNT | _BIND | _RDONLY | _NOSUID | _NODEV, None)


def private_place(readable: Iterable[str]) -> str:
    """The first of PRIVATE_PLACES that hides nothing readable."""
    paths = [found for path in readable for found in (path, os.path.realpath(path))]
    return next(p for p in PRIVATE_PLACES if not any(path == p or path.startswith(f"{p}/") for path in paths))


def mount_private(place: str, uid: int) -> None:
    """An empty directory of ``uid`` that holds PRIVATE_MB and PRIVATE_FILES, and goes with the mount namespace."""
    _mount_tmpfs(place, f"mode=700,size={PRIVATE_MB}m,nr_inodes={PRIVATE_FILES},uid={uid},gid={uid}")


def _mount_tmpfs(path: str, options: str) -> None:
    linux.libc("mount", b"tmpfs", path.encode(), b"tmpfs", _NOSUID | _NODEV | _NOEXEC, options.encode())


def _places(paths: Iterable[str]) -> dict[str, str]:
    """Where to show what: at the path as it is spelt, and at where it leads to if a part of it is a link."""
    real = {path: os.path.realpath(path) for path in paths}
    return {place: source for path, source in real.items() for place in (path, source) if os.path.exists(source)}


def _show(place: str, source: str, flags: int) -> None:
    if os.path.isdir(_OLD + source):
        os.makedirs(place, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(place), exist_ok=True)
        Path(place).touch()
    linux.libc("mount", (_OLD + source).encode(), place.encode(), None, _BIND, None)
    locked = sum(flag for seen, flag in _LOCKED.items() if os.statvfs(place).f_flag & seen & ~flags)
    flags = _REMOUNT | _BIND | _RDONLY | _NOSUID | flags | locked
    linux.libc("mount", b"none", place.encode(), None, flags, None)
