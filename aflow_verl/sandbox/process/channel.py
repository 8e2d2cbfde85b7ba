"""The host's end of a program's channel. Never blocks, and believes nothing that comes through it."""

from __future__ import annotations

import asyncio
import socket

from aflow_verl.sandbox.process import frames

_PART_BYTES = 1 << 18


class Channel:
    """Sends and receives whole frames."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end

    async def send(self, kind: bytes, payload: bytes) -> None:
        """Raises OSError if the process has gone."""
        await asyncio.get_running_loop().sock_sendall(self._end, frames.encode(kind, payload))

    async def receive(self, longest: dict[bytes, int]) -> tuple[bytes, bytes]:
        """The next frame, of one of the kinds in ``longest``, whose payload is no longer than that.

        Raises EOFError or OSError if the process has gone, BrokenFrame.
        """
        kind, length = frames.decode_header(await self._exactly(frames.HEADER_BYTES), longest)
        return kind, await self._exactly(length)

    def close(self) -> None:
        self._end.close()

    async def _exactly(self, length: int) -> bytes:
        received = bytearray()
        while len(received) < length:
            part = await asyncio.get_running_loop().sock_recv(self._end, min(length - len(received), _PART_BYTES))
            if not part:
                raise EOFError
            received += part
            await asyncio.sleep(0)  # sock_recv returns at once where there is data, and a flood would stop the loop
        return bytes(received)
