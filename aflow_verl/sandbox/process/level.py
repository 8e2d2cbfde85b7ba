"""Which layers of the jail work on this machine, and what level of isolation that makes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import get_args

from aflow_verl.config import IsolationLevel

LAYERS: Mapping[str, str] = {
    "rlimits": "memory, CPU time, threads, open files and file size are bounded",
    "own_user": "not root: a user number of its own, or a user namespace",
    "no_new_privs": "no program it starts gains a privilege",
    "seccomp": "no sockets, no processes, no signals to others; an allowlist of system calls",
    "landlock": "reads the interpreter's library, writes nothing but its private directory",
    "mounts": "sees no other files than those, and writes to a bounded tmpfs",
    "pids": "sees no other processes; all of a run's end with its first",
    "network": "has no network interface",
    "ipc": "shares no System V IPC and no message queues",
    "hostname": "does not know the machine's name",
}
"""Name -> what it gives, weakest first."""
_NAMESPACES = ("mounts", "pids", "network", "ipc")
_REMEDIES = {
    "seccomp": "a kernel with seccomp filters",
    "landlock": "Linux 5.13 with landlock among its security modules (lsm=)",
    "mounts": "user namespaces (sysctl user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns=0), "
    "or in a container --cap-add SYS_ADMIN",
}


@dataclass(frozen=True, slots=True)
class Layers:
    """What a probe found. ``missing`` says for each layer that doesn't work why not."""

    missing: Mapping[str, str] = field(default_factory=dict)

    @property
    def working(self) -> tuple[str, ...]:
        return tuple(name for name in LAYERS if name not in self.missing)

    @property
    def level(self) -> IsolationLevel | None:
        """None where not even limits can be set."""
        return level_of(self.working)

    def without(self, names: Collection[str]) -> Layers:
        """With some of them switched off."""
        return Layers({**self.missing, **dict.fromkeys(names, "switched off")})


def level_of(working: Collection[str]) -> IsolationLevel | None:
    """The highest level whose layers all work, and those of the levels below."""
    closed = "landlock" in working or "mounts" in working
    steps: tuple[tuple[IsolationLevel, bool], ...] = (
        ("limits", "rlimits" in working),
        ("filtered", "seccomp" in working and "no_new_privs" in working),
        ("confined", closed),
        ("isolated", "own_user" in working and all(name in working for name in _NAMESPACES)),
    )
    reached: IsolationLevel | None = None
    for level, holds in steps:
        if not holds:
            break
        reached = level
    return reached


def reaches(level: IsolationLevel | None, minimum: IsolationLevel) -> bool:
    order = get_args(IsolationLevel)
    return level is not None and order.index(level) >= order.index(minimum)


def refusal(layers: Layers, minimum: IsolationLevel) -> str:
    """One line: what is missing for ``minimum``, and what to do."""
    reasons = "; ".join(f"{name}: {reason}" for name, reason in layers.missing.items())
    wanted = " or ".join(text for name, text in _REMEDIES.items() if name in layers.missing)
    return (
        f"sandbox.minimum_level is {minimum}, but this machine offers {layers.level or 'none'} ({reasons}); it takes "
        f"{wanted or 'Linux'}, or another sandbox: sandbox.programs=monty or remote"
    )
