"""``python as_nobody.py FOLDER... -- COMMAND...`` as root: runs the command as a user without rights.

The folders are what it needs to read. Where others may not enter the directories above them (an interpreter below
/root), those are replaced, for this process and its children alone, by empty ones that hold nothing but the folders.
"""

from __future__ import annotations

import ctypes
import os
import sys

NOBODY = 65534
_CLONE_NEWNS, _MS_BIND, _MS_REC, _MS_PRIVATE = 0x20000, 4096, 16384, 1 << 18


def main(arguments: list[str]) -> None:
    """Never returns. Raises OSError where mounts are not allowed and a folder is out of reach."""
    at = arguments.index("--")
    folders, command = arguments[:at], arguments[at + 1 :]
    _open_ways({os.path.realpath(folder) for folder in folders})
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    os.execv(command[0], command)


def _open_ways(folders: set[str]) -> None:
    closed = {gate for folder in folders if (gate := _first_closed(folder))}
    if not closed:
        return
    _checked(_LIBC.unshare(_CLONE_NEWNS))
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE)
    held = {folder: os.open(folder, os.O_PATH) for folder in folders if _first_closed(folder)}
    for gate in closed:
        _mount(b"none", gate, b"tmpfs", 0)
        os.chmod(gate, 0o755)
    for folder, descriptor in held.items():
        os.makedirs(folder, exist_ok=True)
        _mount(f"/proc/self/fd/{descriptor}".encode(), folder, None, _MS_BIND | _MS_REC)
        os.close(descriptor)


def _first_closed(folder: str) -> str | None:
    """The topmost directory on the way to ``folder`` that others may not enter."""
    parts = folder.split("/")[1:]
    ways = ("/" + "/".join(parts[:count]) for count in range(1, len(parts) + 1))
    return next((way for way in ways if not os.stat(way).st_mode & 0o1), None)


_LIBC = ctypes.CDLL(None, use_errno=True)


def _mount(source: bytes | None, target: str, kind: bytes | None, flags: int) -> None:
    _checked(_LIBC.mount(source, target.encode(), kind, flags, None))


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    main(sys.argv[1:])
