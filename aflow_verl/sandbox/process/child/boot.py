"""Where the warm interpreter begins: ``python -I -S -X utf8 -c START <folder of aflow_verl> zygote <descriptor>``.

Two processes: the first moves into the new namespaces and waits, the second is the first inhabitant of the new
process namespace (when that one ends, the kernel ends everything in it) and the zygote of all programs.
"""

from __future__ import annotations

import builtins
import json
import os
import site
import socket
import sys
from typing import Any

from aflow_verl.sandbox.process.child import server
from aflow_verl.sandbox.process.child.jail import Jail
from aflow_verl.sandbox.process.child.preload import preload
from aflow_verl.sandbox.process.child.trial import report
from aflow_verl.sandbox.process.layers import linux, namespaces, rlimits, rootfs, seccomp

FIRST_PID = 1
"""What the first process of a namespace calls itself."""


def main() -> None:
    """Ends with the process. ``trial``: prints which layers work; see ``trial``."""
    sys.argv.pop(0)
    home, task, *descriptor = sys.argv
    sys.path.remove(home)
    if task == "trial":
        print(json.dumps(report()))
        return
    os.umask(0o022)  # the folders of the new root are for another user
    control = socket.socket(fileno=int(descriptor[0]))
    settings = json.loads(control.recv(server.MESSAGE_BYTES))
    root = os.geteuid() == 0
    layers = frozenset(settings["layers"])
    try:
        namespaces.enter(layers & namespaces.FLAGS.keys(), user="own_user" in layers and not root)
    except OSError as error:
        _fail(control, error)
    pid = os.fork()
    if pid:
        control.close()
        os.waitpid(pid, 0)
        os._exit(0)
    try:
        linux.prctl(linux.PR_SET_PDEATHSIG, 9)
        jail, own_pids = _prepare(settings, layers, root)
    except Exception as error:
        _fail(control, error)
    os.dup2(os.open("/dev/null", os.O_RDWR), 2)  # nobody reads what a program might complain of
    control.send(json.dumps({"ready": True}).encode())
    server.serve(control, jail, own_pids)
    os._exit(0)


def _prepare(settings: dict[str, Any], layers: frozenset[str], root: bool) -> tuple[Jail, int]:
    own_pids = os.open("/proc/self/ns/pid", os.O_RDONLY) if "pids" in layers else -1
    readable = preload(settings["preload"], settings["path"])
    _exit_functions()
    base_bytes = rlimits.address_space()
    if "mounts" in layers:
        rootfs.build(readable.trees, readable.hidden, readable.packages)
    os.chdir("/")
    if own_pids >= 0:
        seccomp.assembled(linux.machine(), FIRST_PID)
    return Jail(layers, readable, base_bytes, root), own_pids


def _exit_functions() -> None:
    """``exit`` and ``quit``, which programs use and ``-S`` leaves out."""
    site.setquit()
    builtins.help = lambda *_: None  # type: ignore[assignment]


def _fail(control: socket.socket, error: Exception) -> None:
    control.send(json.dumps({"failed": f"{type(error).__name__}: {error}"[:2000]}).encode())
    os._exit(1)
