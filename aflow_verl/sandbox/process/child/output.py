"""What the program prints: kept up to a limit, dropped beyond it, whichever of ``sys.stdout``'s layers it uses."""

from __future__ import annotations

import io
from typing import Any


class Printed(io.RawIOBase):
    """The bottom of ``sys.stdout``."""

    def __init__(self, max_bytes: int) -> None:
        self._kept = bytearray()
        self._max_bytes = max_bytes

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        self._kept += view[: self._max_bytes - len(self._kept)]
        return len(view)

    def text(self, max_chars: int) -> str:
        return bytes(self._kept).decode("utf-8", "replace")[:max_chars]


def capture(max_chars: int) -> tuple[Printed, io.TextIOWrapper]:
    """The store, and the text stream over it."""
    printed = Printed(4 * max_chars)
    buffered = io.BufferedWriter(printed)
    return printed, io.TextIOWrapper(buffered, encoding="utf-8", errors="replace", newline="\n")
