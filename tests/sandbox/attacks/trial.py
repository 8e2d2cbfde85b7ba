"""One attack on one sandbox, and everything that it must not have done."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attacks.attack import ESCAPED, Attack
from attacks.world import World

from aflow_verl.errors import SandboxUnavailable
from aflow_verl.sandbox.base import ProgramSandbox
from aflow_verl.sandbox.limits import Limits
from aflow_verl.sandbox.result import RunResult

LONGEST_STALL_S = 1.0
"""Of the host's event loop: far above what a busy test machine causes, far below what a blocking call does."""
LATE_S = 6.0
"""A run may end this much after its time, for a machine with more work than cores."""
GRACE_S = 3.0
"""For processes and files of a run to be gone after its end."""
_MOST_CHARS, _MOST_PARTS, _LONGEST_ERROR = 3 << 20, 250_000, 800

CLEAN_MONTY = "6 * 7"
CLEAN = """
import builtins, decimal, gc, json, math, os, random, re, signal, sys, threading
def listed(folder):
    try:
        return os.listdir(folder)
    except OSError:
        return "closed"
[
    6 * 7, len("abc"), json.dumps({"a": [1, None]}), math.sqrt(16.0), re.sub("a", "b", "aaa"), sorted([3, 1, 2]),
    sys.getrecursionlimit(), sys.getswitchinterval(), sys.get_int_max_str_digits(), decimal.getcontext().prec,
    gc.isenabled(), len(gc.callbacks), listed("."), listed("/tmp"), dict(os.environ),
    os.umask(0o22), threading.active_count(), [str(signal.getsignal(one)) for one in (2, 10, 14, 15, 17)],
    signal.getitimer(signal.ITIMER_REAL), len(sys.meta_path), sys.gettrace(), sys.getprofile(),
    sorted(name for name in dir(builtins) if not isinstance(getattr(builtins, name), type)), random.random(),
    sum(type(getattr(builtins, name)).__name__ == "builtin_function_or_method" for name in dir(builtins)),
]
"""


@dataclass(frozen=True, slots=True)
class Target:
    """A sandbox under attack."""

    sandbox: ProgramSandbox
    clean_code: str
    clean_value: Any
    """What ``clean_code`` gives before any attack."""
    processes: int
    """Live descendants of this process with the sandbox at rest."""


def limits(seconds: float) -> Limits:
    return Limits(seconds=seconds, memory_mb=64, max_output_chars=2000)


async def target(sandbox: ProgramSandbox, clean_code: str) -> Target:
    """Raises AssertionError if the sandbox isn't clean to begin with."""
    both = (sandbox.run_program(clean_code, limits(5.0)) for _ in range(2))
    first, second = await asyncio.gather(*both)
    assert first.error is None, first
    assert first == second
    return Target(sandbox, clean_code, first.value, len(live_descendants()))


async def violations(attack: Attack, at: Target, world: World, *, grace_s: float = GRACE_S) -> list[str]:
    """What the attack achieved; empty if nothing."""
    before = world.state()
    world.received.clear()
    before["signals"] = []
    stalls = asyncio.create_task(_longest_stall())
    began = time.monotonic()
    result, beside = await asyncio.gather(
        _run(at.sandbox, attack.program(world.facts), attack.seconds), _run(at.sandbox, attack.beside, 5.0)
    )
    took = time.monotonic() - began
    found = [*_of_result(result, attack, world), *_of_beside(beside)]
    if took > attack.seconds + LATE_S:
        found.append(f"took {took:.1f} s")
    found += await _of_next_runs(at)
    stalls.cancel()
    if (longest := await stalls) > LONGEST_STALL_S:
        found.append(f"the host stood still for {longest:.2f} s")
    left = await _settled(grace_s, lambda: len(live_descendants()) <= at.processes and world.state() == before)
    if len(left) > at.processes:
        found.append(f"processes left behind: {left}")
    after = world.state()
    found += [f"{name}: {before[name]} -> {after[name]}" for name in before if before[name] != after[name]]
    world.tidy()
    return found


async def _run(sandbox: ProgramSandbox, code: str | None, seconds: float) -> RunResult | None:
    """None without code. A failure of the sandbox is tried again once, as in a real run."""
    if code is None:
        return None
    try:
        return await sandbox.run_program(code, limits(seconds))
    except SandboxUnavailable:
        return await sandbox.run_program(code, limits(seconds))


def _of_result(result: RunResult | None, attack: Attack, world: World) -> list[str]:
    assert result is not None
    found = []
    text = f"{result.value!r} {result.stdout} {result.error}"
    if ESCAPED in text or any(secret in text for secret in world.secrets):
        found.append(f"got through: {text[:2000]}")
    if attack.must_fail and result.error is None:
        found.append(f"no error, but {text[:300]}")
    if attack.survives and result.error is not None and "process" in result.error:
        found.append(f"became something else: {result.error}")
    if _size(result.value) > _MOST_CHARS or len(result.stdout) > limits(1.0).max_output_chars:
        found.append("a result of more than its limit")
    if result.error is not None and ("\n" in result.error or len(result.error) > _LONGEST_ERROR):
        found.append(f"an error of more than a line: {result.error[:300]!r}")
    found += _not_plain(result.value)
    return found


def _size(value: Any) -> int:
    return len(json.dumps(value, default=str, skipkeys=True))


def _not_plain(value: Any) -> list[str]:
    """Every part is exactly of a plain type, and text can be stored."""
    parts, left = [value], _MOST_PARTS
    while parts and left:
        part, left = parts.pop(), left - 1
        if type(part) in (list, tuple):
            parts += part
        elif type(part) is dict:
            parts += [*part, *part.values()]
        elif type(part) is str:
            if part.encode(errors="replace").decode() != part:
                return ["a text that can't be stored"]
        elif part is not None and type(part) not in (bool, int, float):
            return [f"not plain: {type(part)}"]
    return [] if left else ["a value of too many parts"]


def _of_beside(result: RunResult | None) -> list[str]:
    return [] if result is None or result.value == 6 * 7 else [f"the run beside it was disturbed: {result}"]


async def _of_next_runs(at: Target) -> list[str]:
    """Two at once, so that both of two workers are seen."""
    runs = await asyncio.gather(*(_run(at.sandbox, at.clean_code, 5.0) for _ in range(2)))
    expected = RunResult(at.clean_value)
    return [f"the next run was not clean: {run}" for run in runs if run != expected]


async def _longest_stall() -> float:
    """Seconds, until cancelled."""
    longest, last = 0.0, time.monotonic()
    try:
        while True:
            await asyncio.sleep(0.02)
            now = time.monotonic()
            longest, last = max(longest, now - last), now
    except asyncio.CancelledError:
        return longest


async def _settled(grace_s: float, done: Callable[[], bool]) -> list[int]:
    """The live descendants once ``done()``, or after the grace."""
    until = time.monotonic() + grace_s
    while not done() and time.monotonic() < until:
        await asyncio.sleep(0.01)
    return live_descendants()


def live_descendants() -> list[int]:
    """Processes below this one that aren't zombies. With this process as the reaper of orphans: also daemons."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if state not in "ZX":
                parents[int(entry.name)] = int(parent)
    return sorted(pid for pid in parents if _is_below(pid, parents))


def _is_below(pid: int, parents: dict[int, int]) -> bool:
    while pid in parents:
        pid = parents[pid]
        if pid == os.getpid():
            return True
    return False
