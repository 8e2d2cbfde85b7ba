"""What a run in a sandbox gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MAX_ITEMS = 1000
MAX_NESTING = 20
MAX_INTEGER_BITS = 13_000
"""Below CPython's limit of 4300 digits for turning an integer into text."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """The outcome of one run. Either ``error`` is None, or it says in one line what the program did wrong."""

    value: Any = None
    """Plain data: None, bool, int, float, str, or lists, tuples and dicts of them; anything else as its text."""
    stdout: str = ""
    error: str | None = None


def as_plain(value: Any, max_chars: int, nesting: int = 0) -> Any:
    """``value`` as plain data of bounded size: texts cut, containers cut to MAX_ITEMS items and MAX_NESTING levels.

    Raises ValueError for an integer too long to print.
    """
    if isinstance(value, int) and value.bit_length() > MAX_INTEGER_BITS:
        raise ValueError(f"an integer of {value.bit_length()} bits")
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return value[:max_chars]
    if nesting < MAX_NESTING:
        if isinstance(value, list | tuple):
            items = [as_plain(item, max_chars, nesting + 1) for item in value[:MAX_ITEMS]]
            return tuple(items) if isinstance(value, tuple) else items
        if isinstance(value, dict):
            pairs = list(value.items())[:MAX_ITEMS]
            return {str(key)[:max_chars]: as_plain(item, max_chars, nesting + 1) for key, item in pairs}
    return str(value)[:max_chars] if nesting < MAX_NESTING else "..."


def one_line(text: str, max_chars: int = 300) -> str:
    """``text`` without line breaks, cut."""
    return " ".join(text.split())[:max_chars]
