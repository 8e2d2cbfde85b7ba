"""The zygote's loop: forks a process for each run, and ends it when the host says so.

It listens to the host alone. A program has no way to talk to it: it holds one descriptor, whose other end is the
host's, and it is killed and waited for, never asked.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
from functools import partial

from aflow_verl.sandbox.process import frames
from aflow_verl.sandbox.process.child import program
from aflow_verl.sandbox.process.child.jail import Jail, keep_only, prepare, shut
from aflow_verl.sandbox.process.layers import identity, namespaces

MESSAGE_BYTES = 1 << 17


def serve(control: socket.socket, jail: Jail, own_pids: int) -> None:
    """Until the host hangs up. ``own_pids``: descriptor of this process's namespace of processes, or -1."""
    running: dict[int, int] = {}
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, MESSAGE_BYTES, 1)
        if not message:
            break
        number = json.loads(message)["run"]
        if descriptors:
            _fork(jail, number, descriptors[0], own_pids, running)
            os.close(descriptors[0])
        else:
            control.send(json.dumps({"ended": number, "status": _end(running.pop(number, None))}).encode())
    for pid in running.values():
        _end(pid)


def _fork(jail: Jail, number: int, channel: int, own_pids: int, running: dict[int, int]) -> None:
    """A fork that fails leaves the channel without anybody behind it, which the host sees."""
    with contextlib.suppress(OSError):
        if own_pids >= 0:
            namespaces.new_pids(own_pids)
        pid = os.fork()
        if pid == 0:
            _become_program(jail, number, channel)
        running[number] = pid


def _become_program(jail: Jail, number: int, channel: int) -> None:
    """In the new process, which waits for its limits, then for its program. Never returns."""
    try:
        channel = keep_only(channel)
        uid = identity.FIRST_UID + number % identity.UIDS
        try:
            rules = prepare(jail, uid)
            receive = partial(os.read, channel)
            _, limits = frames.read(receive, {frames.LIMITS: frames.MAX_LIMITS_BYTES})
            given = json.loads(limits)
            memory_bytes = given["memory_bytes"] + program.RESERVE_BYTES
            shut(jail, uid=uid, rules=rules, memory_bytes=memory_bytes, cpu_s=given["cpu_s"])
        except (OSError, ValueError) as error:
            os.write(channel, frames.encode(frames.FAILED, str(error).encode()[: frames.MAX_REASON_BYTES]))
            os._exit(1)
        os.write(channel, frames.encode(frames.READY, b""))
        program.serve(channel)
        os._exit(0)
    finally:
        os._exit(1)


def _end(pid: int | None) -> int | None:
    """Kills the process, and with it its namespace; its exit status as ``os.waitstatus_to_exitcode`` has it."""
    if pid is None:
        return None
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)
