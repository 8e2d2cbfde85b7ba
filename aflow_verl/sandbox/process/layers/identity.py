"""Who the process is: no privileged user, no group, no capability, no way back.

As root the program gets a user number of its own, so that the kernel counts its threads and keeps it from everyone
else's files and processes. Not as root it stays the same user outside, in a user namespace where the kernel allows.
"""

from __future__ import annotations

import ctypes
import os

from aflow_verl.sandbox.process.layers import linux

FIRST_UID, UIDS = 60578, 606
"""systemd's table of user numbers (UIDS-GIDS) leaves 60578 to 61183 to nobody; they exist in a container's map, too."""
CAP_DAC_READ_SEARCH = 2
_CAPABILITY_VERSION_3 = 0x20080522


def become(uid: int, *, keep_reading: bool = False) -> None:
    """From root to ``uid``, group ``uid``, no further groups. Raises OSError.

    ``keep_reading``: may still open what file permissions hide, for an interpreter that is installed in root's home.
    Only where Landlock then says what may be read.
    """
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    if keep_reading:
        linux.prctl(linux.PR_SET_KEEPCAPS, 1)
    os.setresuid(uid, uid, uid)


def drop_capabilities(*, keep_reading: bool = False) -> None:
    """Raises OSError."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    kept = 1 << CAP_DAC_READ_SEARCH if keep_reading else 0
    effective_permitted_inheritable = (ctypes.c_uint32 * 6)(kept, kept, 0, 0, 0, 0)
    linux.syscall(
        linux.CAPSET[linux.machine()], ctypes.addressof(header), ctypes.addressof(effective_permitted_inheritable)
    )


def hide() -> None:
    """No process of the same user can trace this one or read its memory, and it dies with its parent.

    After every change of user, which resets both.
    """
    linux.prctl(linux.PR_SET_DUMPABLE, 0)
    linux.prctl(linux.PR_SET_PDEATHSIG, 9)
