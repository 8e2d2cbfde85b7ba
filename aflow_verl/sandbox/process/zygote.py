"""The host's handle on one zygote: start it, take processes that it has forked, have it end them."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import socket
import sys
from asyncio.subprocess import Process
from collections import deque
from collections.abc import Iterable
from typing import Any

from aflow_verl.errors import SandboxUnavailable
from aflow_verl.sandbox.process import interpreter
from aflow_verl.sandbox.process.channel import Channel
from aflow_verl.sandbox.result import one_line

_MESSAGE_BYTES = 1 << 16
_START_S = 120.0
"""For importing what is preloaded: sympy takes seconds on a busy machine."""
_END_S = 10.0
"""For killing one process. A zygote that takes longer is replaced."""
_CLOSE_S = 5.0


class Zygote:
    """Made by ``start_zygote``. ``alive`` turns False once, when it has died or was killed."""

    def __init__(self, process: Process, control: socket.socket, spares: int) -> None:
        self._process = process
        self._control = control
        self._spares = spares
        self._ready: deque[tuple[int, Channel]] = deque()
        self._numbers = itertools.count()
        self._endings: dict[int, asyncio.Future[int | None]] = {}
        self._listener = asyncio.create_task(self._listen())
        self.alive = True

    def take(self) -> tuple[int, Channel]:
        """A process that is ready, or nearly so, for a program: its number and channel. Another takes its place.

        Raises SandboxUnavailable.
        """
        self.make_ready(self._spares + 1)
        return self._ready.popleft()

    def make_ready(self, processes: int) -> None:
        """Raises SandboxUnavailable."""
        while len(self._ready) < processes:
            self._ready.append(self._fork())

    def _fork(self) -> tuple[int, Channel]:
        ours, theirs = socket.socketpair()
        number = next(self._numbers)
        try:
            socket.send_fds(self._control, [json.dumps({"run": number}).encode()], [theirs.fileno()])
        except OSError as error:
            ours.close()
            raise SandboxUnavailable(f"the sandbox's interpreter has gone: {error}") from error
        finally:
            theirs.close()
        return number, Channel(ours)

    async def end(self, number: int) -> int | None:
        """Ends a run's process and everything in it; its exit code (negative: a signal), None if there is none.

        The order goes out before the first ``await``, so that it stands even if the caller is cancelled. A zygote that
        doesn't obey is killed.
        """
        if not self.alive:
            return None
        ending = self._endings[number] = asyncio.get_running_loop().create_future()
        try:
            self._control.send(json.dumps({"run": number}).encode())
            async with asyncio.timeout(_END_S):
                return await ending
        except (OSError, TimeoutError):
            await self.kill()
            return None
        finally:
            self._endings.pop(number, None)

    async def close(self) -> None:
        """Hangs up, upon which it ends its processes and itself; kills it if it doesn't. Idempotent."""
        self.alive = False
        self._listener.cancel()
        await asyncio.wait([self._listener])
        self._control.close()
        try:
            async with asyncio.timeout(_CLOSE_S):
                await self._process.wait()
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        """Ends it and every process that it started, now. Idempotent."""
        self.alive = False
        interpreter.kill(self._process)
        await asyncio.wait([self._listener], timeout=_CLOSE_S)  # it hears when the last process has gone
        self._listener.cancel()
        await asyncio.wait([self._listener])
        self._control.close()
        await self._process.wait()

    async def _listen(self) -> None:
        """Hands each "ended" to who waits for it, until the zygote hangs up."""
        try:
            while reply := await _receive(self._control):
                ending = self._endings.get(reply["ended"])
                if ending is not None and not ending.done():
                    ending.set_result(reply["status"])
        except OSError:
            pass
        finally:
            self.alive = False
            while self._ready:
                self._ready.pop()[1].close()
            for ending in self._endings.values():
                if not ending.done():
                    ending.set_result(None)


async def start_zygote(layers: Iterable[str], preload: Iterable[str], spares: int) -> Zygote:
    """``spares``: processes that it keeps ready, forked before there is a program for them.

    Raises SandboxUnavailable: it could not put on its layers, or not import what it should.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    with theirs:
        process = await interpreter.start("zygote", theirs.fileno())
    settings = {"layers": sorted(layers), "preload": list(preload), "path": _import_path()}
    try:
        async with asyncio.timeout(_START_S):
            await asyncio.get_running_loop().sock_sendall(ours, json.dumps(settings).encode())
            reply = await _receive(ours)
    except (OSError, TimeoutError) as error:
        reply = {"failed": f"{type(error).__name__}: {error}"}
    except asyncio.CancelledError:
        ours.close()
        interpreter.kill(process)
        raise
    if "ready" in reply:
        zygote = Zygote(process, ours, spares)
        zygote.make_ready(spares)
        return zygote
    ours.close()
    interpreter.kill(process)
    _, complaint = await process.communicate()
    reason = reply.get("failed") or complaint[-500:].decode(errors="replace")
    raise SandboxUnavailable(f"the sandbox does not start: {one_line(reason)}", retryable=False)


async def _receive(control: socket.socket) -> dict[str, Any]:
    """The next message, {} once it has hung up. Raises OSError."""
    message = await asyncio.get_running_loop().sock_recv(control, _MESSAGE_BYTES)
    return json.loads(message) if message else {}


def _import_path() -> list[str]:
    return [os.path.abspath(entry) for entry in sys.path if os.path.isdir(entry)]
