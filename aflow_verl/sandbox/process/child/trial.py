"""Tries each layer in a process of its own and sees whether it does what it should."""

from __future__ import annotations

import errno
import os
import socket
import traceback
from collections.abc import Callable
from functools import partial

from aflow_verl.sandbox.process.layers import (
    identity,
    landlock,
    namespaces,
    no_new_privs,
    rlimits,
    rootfs,
    seccomp,
)

_MAX_REASON = 300


class NoEffect(Exception):
    """The kernel accepted the layer and nothing changed."""


def report() -> dict[str, str]:
    """Name of a layer -> why it doesn't work, "" where it does."""
    trials: dict[str, Callable[[], None]] = {
        "rlimits": _rlimits,
        "own_user": _own_user,
        "no_new_privs": no_new_privs.apply,
        "seccomp": _seccomp,
        "landlock": _landlock,
        "mounts": _mounts,
        "pids": _pids,
    }
    trials |= {kind: partial(_enter, kind) for kind in ("network", "ipc", "hostname")}
    return {name: _try(trial) for name, trial in trials.items()}


def _try(trial: Callable[[], None]) -> str:
    """In a child; "" or the reason."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        reason = ""
        try:
            trial()
        except Exception as error:
            reason = traceback.format_exception_only(error)[-1].strip()[:_MAX_REASON]
        os.write(writer, b"+" + reason.encode())
        os._exit(0)
    os.close(writer)
    reply = os.read(reader, 4 * _MAX_REASON)
    os.close(reader)
    os.waitpid(pid, 0)
    return reply[1:].decode() if reply else "the process died"


def _rlimits() -> None:
    rlimits.apply(address_bytes=rlimits.address_space() + (64 << 20), cpu_s=5, file_bytes=0, threads=8)
    try:
        bytearray(256 << 20)
    except MemoryError:
        return
    raise NoEffect("more memory than the limit")


def _own_user() -> None:
    if os.geteuid() != 0:
        namespaces.enter((), user=True)
        return
    identity.become(identity.FIRST_UID)
    identity.drop_capabilities()
    identity.hide()
    try:
        os.setuid(0)
    except PermissionError:
        return
    raise NoEffect("root again")


def _seccomp() -> None:
    no_new_privs.apply()
    seccomp.apply()
    try:
        socket.socket()
    except OSError as error:
        if error.errno == errno.EPERM:
            return
    raise NoEffect("a socket could be opened")


def _landlock() -> None:
    rules = landlock.ruleset(["/dev/null"], [])
    no_new_privs.apply()
    landlock.apply(rules)
    open("/dev/null").close()
    try:
        os.listdir("/")
    except PermissionError:
        return
    raise NoEffect("a folder could be listed")


def _mounts() -> None:
    _enter("mounts")
    rootfs.build([], [], [])
    namespaces.new_mounts()
    rootfs.mount_private(rootfs.private_place([]), namespaces.INNER_ID)
    if sorted(os.listdir("/")) != ["dev", "tmp"]:
        raise NoEffect(f"the new root holds {os.listdir('/')}")


def _pids() -> None:
    _enter("pids")
    reader, writer = os.pipe()
    if (pid := os.fork()) == 0:
        own = os.open("/proc/self/ns/pid", os.O_RDONLY)
        namespaces.new_pids(own)
        os.write(writer, b"%d" % os.getpid())
        os._exit(0)
    os.close(writer)
    os.waitpid(pid, 0)
    if (seen := os.read(reader, 16)) != b"1":
        raise NoEffect(f"the first process has number {seen.decode() or 'none'}")


def _enter(kind: str) -> None:
    namespaces.enter([kind], user=os.geteuid() != 0)
