"""A row as the tables keep it: plain types, text that every database takes, and a checksum over it."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Column, Table

Row = dict[str, Any]

_UNSEALED = ("id", "position", "checksum")
"""Given by the database, changed afterwards, the seal itself."""
_as_json = json.JSONEncoder(default=repr).encode
"""A damaged file may hold a blob where there was a text."""
_ESCAPED = "\x01"
"""Begins a text that is kept as JSON."""


def sealed(table: Table, values: Mapping[str, Any]) -> Row:
    """``values``, one for each column that the writer fills, as they are stored."""
    row = {column.name: _plain(column, values[column.name]) for column in table.columns if column.name in values}
    return {**row, "checksum": _checksum(table, row)}


def sound(table: Table, row: Mapping[str, Any]) -> bool:
    """Whether the row is as it was written. ``row`` has all columns."""
    return bool(_checksum(table, row) == row["checksum"])


def digest(text: str) -> str:
    """SHA-256 in hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def storable(text: str) -> str:
    """``text`` without NUL and lone surrogates, which PostgreSQL and UTF-8 don't know; ``original`` undoes it."""
    if text.startswith(_ESCAPED) or "\x00" in text or not _encodable(text):
        return _ESCAPED + json.dumps(text)
    return text


def original(text: str) -> str:
    """Inverse of ``storable``."""
    return str(json.loads(text[1:])) if text.startswith(_ESCAPED) else text


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _plain(column: Column[Any], value: Any) -> Any:
    """Of the column's own type, so that a row reads back with the same checksum."""
    if isinstance(value, str):
        return storable(value)
    return None if value is None else column.type.python_type(value)


def _checksum(table: Table, row: Mapping[str, Any]) -> int:
    values = [row[column.name] for column in table.columns if column.name not in _UNSEALED]
    return zlib.crc32(_as_json(values).encode())
