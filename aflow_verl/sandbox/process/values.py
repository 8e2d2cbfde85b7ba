"""Plain values as JSON and back: a tuple is ``{"t": [...]}`` and a dict ``{"d": {...}}``."""

from __future__ import annotations

import json
from typing import Any

from aflow_verl.sandbox.result import as_plain

MAX_VALUES = 100_000
"""In one result, whatever its nesting: more would keep the host busy for longer than a moment."""


class Unreadable(ValueError):
    """Not what ``encode`` writes, or more than MAX_VALUES."""


def encode(value: Any, max_chars: int) -> Any:
    """``value`` (of any type) for ``json.dumps``, cut as ``as_plain`` does.

    Raises ValueError for too long an integer or too many values, and whatever a hostile object raises when asked for
    its text.
    """
    left = [MAX_VALUES]
    return _encode(as_plain(value, max_chars), left)


def decode(tagged: Any, max_chars: int) -> Any:
    """The value that ``encode`` was given, cut again. Raises Unreadable or ValueError."""
    left = [MAX_VALUES]
    return as_plain(_decode(tagged, left), max_chars)


def loads(payload: bytes) -> Any:
    """JSON from a hostile writer. Raises ValueError."""
    try:
        return json.loads(payload)
    except RecursionError as error:
        raise Unreadable("nested too deeply") from error


def printable(text: str) -> str:
    """``text`` with ``?`` for lone surrogates, which can't be stored or sent on."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _encode(value: Any, left: list[int]) -> Any:
    _count(left)
    if isinstance(value, tuple):
        return {"t": [_encode(item, left) for item in value]}
    if isinstance(value, list):
        return [_encode(item, left) for item in value]
    if isinstance(value, dict):
        return {"d": {key: _encode(item, left) for key, item in value.items()}}
    return value


def _decode(tagged: Any, left: list[int]) -> Any:
    _count(left)
    if isinstance(tagged, list):
        return [_decode(item, left) for item in tagged]
    if isinstance(tagged, str):
        return printable(tagged)
    if not isinstance(tagged, dict):
        return tagged
    match tagged:
        case {"t": list(items)}:
            return tuple(_decode(item, left) for item in items)
        case {"d": dict(pairs)}:
            return {printable(key): _decode(item, left) for key, item in pairs.items()}
    raise Unreadable("an object without a tag")


def _count(left: list[int]) -> None:
    left[0] -= 1
    if left[0] < 0:
        raise Unreadable(f"more than {MAX_VALUES} values")
