"""Shuts the jail round this process: each layer that works here, in the one order in which they can be put on.

What needs a right comes before the rights are dropped, what takes the right to do anything comes last.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from aflow_verl.sandbox.process.child.preload import Readable
from aflow_verl.sandbox.process.layers import (
    identity,
    landlock,
    namespaces,
    no_new_privs,
    rlimits,
    rootfs,
    seccomp,
)


@dataclass(frozen=True, slots=True)
class Jail:
    """What is the same for all programs of one zygote."""

    layers: Collection[str]
    readable: Readable
    base_bytes: int
    """Address space of the interpreter before a program came."""
    root: bool
    """The host runs as root."""

    @property
    def private(self) -> str:
        """Where a program's own directory is, with a mount namespace."""
        return rootfs.private_place((*self.readable.trees, *self.readable.packages))

    @property
    def keep_reading(self) -> bool:
        """The interpreter's files may be for root alone: then the program reads with root's right what is laid out for
        it, once nothing else is."""
        closed = "landlock" in self.layers or "mounts" in self.layers
        paths = (*self.readable.trees, *self.readable.packages)
        return self.root and closed and not all(_others_read(path, "mounts" in self.layers) for path in paths)


def keep_only(channel: int) -> int:
    """Closes every descriptor but ``channel``, which gets the number that is returned; 0, 1 and 2 lead nowhere."""
    moved, nowhere = os.dup2(channel, 100), os.dup2(os.open("/dev/null", os.O_RDWR), 101)
    for number in range(3):
        os.dup2(nowhere, number)
    kept = os.dup2(moved, 3, inheritable=False)
    os.closerange(kept + 1, os.sysconf("SC_OPEN_MAX"))
    return kept


def prepare(jail: Jail, uid: int) -> int:
    """What takes time and needs no limits: a session, the private directory, Landlock's rules. Raises OSError.

    Returns the descriptor of the rules, -1 without Landlock.
    """
    os.setsid()
    if "mounts" in jail.layers:
        namespaces.new_mounts()
        rootfs.mount_private(jail.private, uid if jail.root else namespaces.INNER_ID)
        os.chdir(jail.private)
    if "landlock" not in jail.layers:
        return -1
    if "mounts" in jail.layers:
        return landlock.ruleset(["/"], [jail.private, "/dev/null"])
    return landlock.ruleset([*jail.readable.expanded(), *rootfs.DEVICES], ["/dev/null"], listable=jail.readable.trees)


def shut(jail: Jail, *, uid: int, rules: int, memory_bytes: int, cpu_s: int) -> None:
    """Puts on all layers. Raises OSError or ValueError."""
    keep_reading = jail.keep_reading
    rlimits.apply(
        address_bytes=jail.base_bytes + memory_bytes,
        cpu_s=cpu_s,
        file_bytes=rlimits.FILE_BYTES if "mounts" in jail.layers else 0,
        threads=rlimits.THREADS if "own_user" in jail.layers else 0,
    )
    if "own_user" in jail.layers and jail.root:
        identity.become(uid, keep_reading=keep_reading)
    identity.drop_capabilities(keep_reading=keep_reading)
    identity.hide()
    if "no_new_privs" in jail.layers:
        no_new_privs.apply()
    if rules >= 0:
        landlock.apply(rules)
        os.close(rules)
    if "seccomp" in jail.layers:
        seccomp.apply()


def _others_read(path: str, alone: bool) -> bool:
    """Whether everyone may read ``path`` and, unless it lies ``alone`` in folders of our own, enter those above it."""
    needed = 0o5 if os.path.isdir(path) else 0o4
    if os.stat(path).st_mode & needed != needed:
        return False
    above = [] if alone else Path(os.path.realpath(path)).parents
    return all(folder.stat().st_mode & 0o1 for folder in above)
