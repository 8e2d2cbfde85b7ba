"""A SQLite file among its companions: whether it is sound, who has it open, and its copies.

Beside ``tree.sqlite`` lie, at times: ``-wal`` and ``-shm`` (SQLite's own), ``.lock``, ``.good`` (the last good state),
``.schema-N`` (as it was before a migration) and ``.damaged-N``.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from glob import escape
from pathlib import Path

from sqlalchemy import Table

from aflow_verl.errors import StorageError, UserError
from aflow_verl.search.storage.database import BUSY_SECONDS
from aflow_verl.search.storage.failures import DamagedFile, named
from aflow_verl.search.storage.migrations import APPLICATION_ID, refuse_newer
from aflow_verl.search.storage.rows import Row, sound
from aflow_verl.search.storage.tables import SCHEMA_VERSION, metadata

GOOD = ".good"
_COPYING = ".copying-"
"""An unfinished copy."""


def beside(path: Path, ending: str) -> Path:
    """``tree.sqlite`` and ``.good`` -> ``tree.sqlite.good``."""
    return path.with_name(path.name + ending)


def inspect(path: Path) -> int:
    """Reads all of the file. Returns its schema version; 0 for a new one.

    Raises:
        DamagedFile: SQLite's structures or a row are not as they were written, or the file is gone and a copy is not.
        UserError: another program's file, or a newer schema.
        StorageError: it can't be opened.
    """
    _refuse_loss(path)
    with named(str(path)), closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection:
        connection.text_factory = lenient
        if pragma(connection, "application_id") != APPLICATION_ID and pragma(connection, "schema_version"):
            raise _foreign(path)
        version = pragma(connection, "user_version")
        refuse_newer(str(path), version)
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise DamagedFile(str(path), verdict.splitlines()[-1])
        if version == SCHEMA_VERSION:
            for table in metadata.sorted_tables:
                if not all(sound(table, row) for row in scan(connection, table)):
                    raise DamagedFile(str(path), f"a row of {table.name} is not as it was written")
        return version


def pragma(connection: sqlite3.Connection, name: str) -> int:
    """A number of SQLite's, e.g. ``user_version``."""
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def lenient(data: bytes) -> str:
    """A ``text_factory``: letters that are none show in the checksum."""
    return data.decode(errors="replace")


def scan(connection: sqlite3.Connection, table: Table, *, backwards: bool = False) -> Iterator[Row]:
    """The rows in the order of the primary key. Raises sqlite3.DatabaseError where the file is damaged."""
    direction = "DESC" if backwards else "ASC"
    order = ", ".join(f"{column.name} {direction}" for column in table.primary_key)
    names = [column.name for column in table.columns]
    for values in connection.execute(f"SELECT {', '.join(names)} FROM {table.name} ORDER BY {order}"):
        yield dict(zip(names, values, strict=True))


def copy(source: Path, target: Path) -> None:
    """A copy of the state of one moment, checked, which appears whole; others may write meanwhile."""
    # Several tasks of a process may copy at once, each in a thread of its own.
    unfinished = beside(target, f"{_COPYING}{os.getpid()}-{threading.get_ident()}")
    try:
        with named(str(source)):
            old, new = sqlite3.connect(source, timeout=BUSY_SECONDS), sqlite3.connect(unfinished)
            with closing(old), closing(new):
                old.backup(new)
        inspect(unfinished)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    os.replace(unfinished, target)


def _refuse_loss(path: Path) -> None:
    """SQLite takes an empty file for a new one, and throws its journal away."""
    if path.is_file() and path.stat().st_size:
        return
    journal = beside(path, "-wal")
    if beside(path, GOOD).exists() or (journal.exists() and journal.stat().st_size):
        raise DamagedFile(str(path), "it is empty" if path.exists() else "it is gone")


def _foreign(path: Path) -> UserError:
    if beside(path, GOOD).exists():
        return DamagedFile(str(path), "its header is not as it was written")
    return UserError(f"{path}: is a database of another program; name another file in store.path")


def tidy(path: Path) -> None:
    """Removes copies that a kill cut short. For who has the file alone."""
    for leftover in path.parent.glob(f"{escape(path.name)}*{_COPYING}*"):
        leftover.unlink()


class Holders:
    """Everyone who has a store's file open, in whichever process: nobody repairs it under another one's hands."""

    def __init__(self, path: Path) -> None:
        """Raises StorageError where the folder takes no files."""
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(beside(path, ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StorageError(f"{path}: can't be opened: {error}", retryable=False) from error
        self.alone = self._take_alone()
        """Nobody else has it open, and whoever wants to waits until ``join``."""

    def join(self) -> None:
        """Be one of those who have it open."""
        fcntl.flock(self._lock, fcntl.LOCK_SH)
        self.alone = False

    def leave(self) -> None:
        """Not to be called twice."""
        os.close(self._lock)

    def _take_alone(self) -> bool:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
