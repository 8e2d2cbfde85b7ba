"""Own views of the machine (namespaces(7)): mounts, processes, network, System V IPC, host name, users."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from aflow_verl.sandbox.process.layers import linux

CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUSER = 0x20000, 0x20000000, 0x10000000
FLAGS = {"mounts": CLONE_NEWNS, "pids": CLONE_NEWPID, "network": 0x40000000, "ipc": 0x08000000, "hostname": 0x04000000}
INNER_ID = 1000
"""User and group number inside a user namespace; any but 0 will do."""


def enter(kinds: Collection[str], *, user: bool) -> None:
    """Moves this process into new namespaces; ``pids`` begins with its next child. Raises OSError.

    ``user``: in a new user namespace, which everyone may create where the kernel allows, and which gives the right to
    create the others.
    """
    uid, gid = os.getuid(), os.getgid()
    linux.libc("unshare", sum(FLAGS[kind] for kind in kinds) | (CLONE_NEWUSER if user else 0))
    if user:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{INNER_ID} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{INNER_ID} {gid} 1")
    if "hostname" in kinds:
        linux.libc("sethostname", b"sandbox", len(b"sandbox"))


def new_pids(own: int) -> None:
    """The next child is the first process of a new process namespace. ``own``: descriptor of /proc/self/ns/pid.

    A namespace dies with its first process, so every run has to begin with one of this process's own again.
    """
    linux.libc("setns", own, CLONE_NEWPID)
    linux.libc("unshare", CLONE_NEWPID)


def new_mounts() -> None:
    """What is mounted from now on is seen here alone. Raises OSError."""
    linux.libc("unshare", CLONE_NEWNS)
