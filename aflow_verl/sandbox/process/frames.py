"""The frames that a program's process and the host exchange: one letter for the kind, four bytes of length, the rest.

Nothing is ever unpickled. Text travels as UTF-8 with lone surrogates let through, values as ``values`` writes them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

LIMITS, PROGRAM, ANSWER = b"L", b"P", b"A"
"""To the process, in this order; answers as often as there are calls."""
READY, FAILED = b"R", b"F"
"""From the process, before it reads the program: the jail is shut; it could not be shut, and why."""
CALL, RESULT = b"C", b"V"
"""From the program. It owns its end, so what comes may be anything."""

HEADER_BYTES = 5
MAX_CALL_BYTES = 16 << 20
"""Of the text of one ``host_call``, either way."""
MAX_REASON_BYTES = MAX_LIMITS_BYTES = 4096
MAX_PROGRAM_BYTES = 8 << 20
_RESULT_BYTES, _BYTES_PER_CHAR = 1 << 20, 12
"""A character in JSON is at most two ``\\uXXXX``."""


class BrokenFrame(Exception):
    """What came is no frame, or longer than its kind may be."""


def max_result_bytes(max_output_chars: int) -> int:
    """Room for what was printed, and for a value."""
    return _RESULT_BYTES + _BYTES_PER_CHAR * max_output_chars


def encode(kind: bytes, payload: bytes) -> bytes:
    return struct.pack("!cI", kind, len(payload)) + payload


def decode_header(header: bytes, longest: dict[bytes, int]) -> tuple[bytes, int]:
    """Kind and length of the payload. ``longest``: the kinds that may come now, and their longest payloads.

    Raises BrokenFrame.
    """
    kind, length = struct.unpack("!cI", header)
    if length > longest.get(kind, -1):
        raise BrokenFrame(f"{length} bytes of kind {kind!r}")
    return kind, length


def read(receive: Callable[[int], bytes], longest: dict[bytes, int]) -> tuple[bytes, bytes]:
    """The next frame from a blocking source. Raises BrokenFrame, EOFError."""
    kind, length = decode_header(_exactly(receive, HEADER_BYTES), longest)
    return kind, _exactly(receive, length)


def to_text(payload: bytes) -> str:
    """Raises UnicodeDecodeError."""
    return payload.decode("utf-8", "surrogatepass")


def to_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _exactly(receive: Callable[[int], bytes], length: int) -> bytes:
    parts = []
    while length:
        part = receive(min(length, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        length -= len(part)
    return b"".join(parts)
