"""How the interpreters of this backend are started: with an empty environment, isolated from everything installed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path

import aflow_verl

_START = "import sys; sys.path.insert(0, sys.argv[1]); from aflow_verl.sandbox.process.child.boot import main; main()"


_LOADER = ("LD_LIBRARY_PATH",)
"""Without it some interpreters don't find their own library. Programs see no environment at all."""


async def start(task: str, descriptor: int | None = None) -> Process:
    """``task`` for ``child.boot``; of our descriptors it inherits ``descriptor`` alone. Raises OSError."""
    home = Path(aflow_verl.__file__).resolve().parent.parent
    inherited = () if descriptor is None else (descriptor,)
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", "-X", "utf8", "-c", _START, str(home), task, *map(str, inherited)),
        env={name: os.environ[name] for name in _LOADER if name in os.environ},
        stdin=DEVNULL,
        stdout=PIPE if descriptor is None else DEVNULL,
        stderr=PIPE,
        pass_fds=inherited,
        start_new_session=True,
    )


def kill(process: Process) -> None:
    """Also one that has ended."""
    with contextlib.suppress(ProcessLookupError):
        process.kill()
