"""Programs in CPython, each in a process of its own, forked from a warm interpreter and jailed by the kernel.

What is stopped depends on what the kernel offers; ``level`` says how far it goes here (each level stops what those
above it in this list stop):

* ``limits``: endless loops (wall and CPU time), memory bombs, floods of output, too large or unreadable results,
  hostile objects as results (nothing is unpickled), core dumps, reading the host's memory, environment and
  descriptors by inheritance: the program's process was forked from an interpreter that never held any. A run that
  crashes, and whatever it changed in its interpreter, ends with its process.
* ``filtered``: sockets of every family, further processes and programs, signals to others, tracing, mounts,
  namespaces, keys, BPF, io_uring, and every other system call that isn't on a list of harmless ones
  (``layers.syscalls``); changing modes, owners, times and attributes of files.
* ``confined``: reading files but the standard library and the preloaded packages, writing any but those in a private
  directory of 16 MiB and 1000 files, which exists where mount namespaces do; elsewhere nothing can be written.
* ``isolated``: seeing other processes, network interfaces, the machine's name or System V IPC at all; being the same
  user as the host.

What it does not stop: bugs of the kernel; learning how long things take; reading the host's clock, kernel version, load
and free memory; with Landlock but no mount namespace, learning whether a file exists and how large it is; a program
that lies in its own result. Whoever compares results must not show the program what it will be compared with. At
``limits`` and ``filtered`` the program reads what files allow to anybody (as root: to an unknown user; else: to the
host's own user), and makes empty files and deletes where that user may. At ``limits`` without a namespace of processes
a process that it starts and that leaves its session stays behind.

Equal programs get equal random numbers from ``random`` (seed 0); the order of sets of texts differs between sandboxes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from types import TracebackType
from typing import Self

from aflow_verl.config import IsolationLevel
from aflow_verl.errors import SandboxUnavailable, UserError
from aflow_verl.sandbox.base import HostCall
from aflow_verl.sandbox.limits import Limits
from aflow_verl.sandbox.process.channel import Channel
from aflow_verl.sandbox.process.conversation import converse, how_it_ended, shut_in
from aflow_verl.sandbox.process.level import Layers, reaches, refusal
from aflow_verl.sandbox.process.probe import probe
from aflow_verl.sandbox.process.zygote import Zygote, start_zygote
from aflow_verl.sandbox.result import RunResult


class ProcessSandbox:
    """Use as an async context manager, or ``open`` and ``close``; runs may be concurrent and share nothing.

    ``workers`` programs compute at a time; one that waits for the host (``call``) doesn't count. ``preload``: modules
    that programs find imported, and the only installed packages that they can use. ``without``: layers to leave off,
    which lowers the level accordingly.
    """

    name = "process"
    supports_calls = True

    def __init__(
        self,
        workers: int = 2,
        *,
        preload: Collection[str] = (),
        minimum_level: IsolationLevel = "confined",
        without: Collection[str] = (),
    ) -> None:
        self._workers = workers
        self._slots = asyncio.Semaphore(workers)
        self._preload = tuple(preload)
        self._minimum_level = minimum_level
        self._without = frozenset(without)
        self._layers: Layers | None = None
        self._zygote: Zygote | None = None
        self._starting = asyncio.Lock()

    @property
    def layers(self) -> Layers:
        """What works here, and why the rest doesn't."""
        if self._layers is None:
            raise SandboxUnavailable("the sandbox is not open", retryable=False)
        return self._layers

    @property
    def level(self) -> IsolationLevel | None:
        return self.layers.level

    async def open(self) -> Self:
        """Probes the machine and starts the warm interpreter.

        Raises UserError below the minimum level, SandboxUnavailable if a preloaded module can't be imported.
        """
        layers = (await probe()).without(self._without)
        if not reaches(layers.level, self._minimum_level):
            raise UserError(refusal(layers, self._minimum_level))
        self._layers = layers
        await self._warm()
        return self

    async def close(self) -> None:
        """Ends all processes. Idempotent."""
        self._layers = None
        async with self._starting:
            zygote, self._zygote = self._zygote, None
            if zygote is not None:
                await zygote.close()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def run_program(self, code: str, limits: Limits, *, call: HostCall | None = None) -> RunResult:
        """See ``base.ProgramSandbox``. ``limits.seconds`` is wall time of the program, without the time that it waits
        for the host or for its turn; ``limits.memory_mb`` comes on top of the warm interpreter's own memory.

        An exception of ``call`` ends the run and is raised here. Raises SandboxUnavailable.
        """
        zygote = await self._warm()
        async with self._slots:
            number, channel = zygote.take()
            try:
                await shut_in(channel, limits)
            except BaseException:
                await self._end(zygote, number, channel)
                raise
        try:
            result = await converse(channel, code, limits, call, self._slots)
        finally:
            status = await self._end(zygote, number, channel)
        if result is not None:
            return result
        if status is None:
            raise SandboxUnavailable("the sandbox's interpreter died")
        return how_it_ended(status)

    async def _end(self, zygote: Zygote, number: int, channel: Channel) -> int | None:
        channel.close()
        return await zygote.end(number)

    async def _warm(self) -> Zygote:
        """The warm interpreter; a new one if it died."""
        async with self._starting:
            working = self.layers.working
            if self._zygote is None or not self._zygote.alive:
                if self._zygote is not None:
                    await self._zygote.kill()
                self._zygote = await start_zygote(working, self._preload, self._workers)
            return self._zygote
