"""From a damaged SQLite file, and the last good copy of it, to a sound one.

Grades and experience are taken from both, row by row: each row stands on its own and says by its checksum whether it
is whole. Where the runs stand (trees, critic values, meta) makes sense only together: all from the damaged file if all
of it can be read, else all from the copy.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path

from sqlalchemy import URL, Connection, Table, func, select

from aflow_verl.errors import StorageError, UserError
from aflow_verl.search.storage.address import SQLITE
from aflow_verl.search.storage.database import Database, insert
from aflow_verl.search.storage.files import GOOD, beside, lenient, pragma, scan
from aflow_verl.search.storage.migrations import bring_up_to_date
from aflow_verl.search.storage.rows import Row, sound
from aflow_verl.search.storage.tables import OF_RUNS, SCHEMA_VERSION, SHARED, metadata

RESTORED = ".restored"
"""A finished restoration that has not taken the file's place yet."""
_JOURNALS = ("-wal", "-shm")


@dataclass(frozen=True)
class Found:
    """What a file still holds."""

    rows: dict[str, list[Row]]
    """Of each table."""
    whole: frozenset[str]
    """Tables of which every row was read, and as it was written."""

    @property
    def runs(self) -> bool:
        """Whether it says where the runs stand."""
        return all(table.name in self.whole for table in OF_RUNS)


Key = tuple[str | int, ...]
NOTHING = Found({}, frozenset())


def recover(path: Path, why: str) -> str:
    """Puts a sound file in the place of the damaged one, which is kept beside it.

    Returns:
        What was done, in one line.

    Raises:
        UserError: there is nothing to restore; all is left as it was.
        StorageError: the disk.
    """
    try:
        return _recover(path, why)
    except OSError as error:
        raise StorageError(f"{path}: is damaged ({why}), and can't be restored: {error}", retryable=False) from error


def finish(path: Path) -> None:
    """Lets a restoration take its place, also one that a kill cut short. The old journal must not outlive its file."""
    if beside(path, RESTORED).exists():
        _remove(path, *_JOURNALS)
        os.replace(beside(path, RESTORED), path)


def salvage(path: Path) -> Found:
    """Whatever can be read of the file, which stays as it is. Never raises."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            connection.text_factory = lenient
            connection.execute("PRAGMA writable_schema = ON")  # else a file shorter than its header says isn't read
            if pragma(connection, "user_version") != SCHEMA_VERSION:
                return NOTHING
            read = {table.name: _readable(connection, table) for table in metadata.sorted_tables}
    except sqlite3.DatabaseError:
        return NOTHING
    finally:
        _remove(path, "-shm")
    return Found(
        {name: rows for name, (rows, _) in read.items()}, frozenset(name for name, (_, whole) in read.items() if whole)
    )


def _recover(path: Path, why: str) -> str:
    kept = _set_aside(path)
    found, good = salvage(kept) if kept else NOTHING, salvage(beside(path, GOOD))
    runs = found if found.runs else good
    if not runs.runs:
        if kept:
            _remove(kept, "", *_JOURNALS)
        raise UserError(
            f"{path}: is damaged or no store of aflow-verl ({why}), and there is no good copy to restore it from; "
            "move it away or name another store"
        )
    restoring = beside(path, ".restoring")
    counts = _write(restoring, runs, found, good)
    os.replace(restoring, beside(path, RESTORED))
    finish(path)
    state = "all of it" if runs is found else f"as in the copy of {_made(beside(path, GOOD))}"
    return (
        f"{path} was damaged ({why}); restored: the state of its runs ({state}), {counts['grades']} grades, "
        f"{counts['experience']} records of experience" + (f"; it is kept as {kept.name}" if kept else "")
    )


def _set_aside(path: Path) -> Path | None:
    """A copy of the damaged file and its journal; None where it is gone."""
    if not path.exists():
        return None
    kept = next(place for n in count(1) if not (place := beside(path, f".damaged-{n}")).exists())
    shutil.copy2(path, kept)
    if beside(path, "-wal").exists():
        shutil.copy2(beside(path, "-wal"), beside(kept, "-wal"))
    return kept


def _readable(connection: sqlite3.Connection, table: Table) -> tuple[list[Row], bool]:
    """The sound rows, from both ends up to where the file is damaged, and whether they are all."""
    rows: dict[Key, Row] = {}
    whole = _read(connection, table, rows, backwards=False) or _read(connection, table, rows, backwards=True)
    return [rows[key] for key in sorted(rows)], whole


def _read(connection: sqlite3.Connection, table: Table, rows: dict[Key, Row], *, backwards: bool) -> bool:
    last: Key | None = None
    whole = True
    with suppress(sqlite3.DatabaseError):
        for row in scan(connection, table, backwards=backwards):
            if not sound(table, row):
                whole = False
                continue
            key = tuple(row[column.name] for column in table.primary_key)
            if last is not None and (key >= last if backwards else key <= last):
                return False  # pages that lead round in a circle
            rows[key], last = row, key
        return whole
    return False


def _write(target: Path, runs: Found, found: Found, good: Found) -> dict[str, int]:
    """A new file with the state of ``runs`` and the shared rows; returns how many of those, by table."""
    _remove(target, "", *_JOURNALS)
    database = Database(URL.create(SQLITE, database=str(target)))
    try:
        return database.write(lambda connection: _fill(connection, runs, found, good))
    finally:
        database.close()


def _fill(connection: Connection, runs: Found, found: Found, good: Found) -> dict[str, int]:
    bring_up_to_date(connection, "")
    for table in OF_RUNS:
        _insert(connection, table, runs.rows[table.name])
    for table in SHARED:
        for source in (found,) if table.name in found.whole else (good, found):
            _insert(connection, table, source.rows.get(table.name, []))
    return {table.name: connection.execute(select(func.count()).select_from(table)).scalar_one() for table in SHARED}


def _insert(connection: Connection, table: Table, rows: list[Row]) -> None:
    if rows:
        kept = [{name: value for name, value in row.items() if name != "id"} for row in rows]
        connection.execute(insert(connection, table).on_conflict_do_nothing(), kept)


def _made(path: Path) -> str:
    return datetime.fromtimestamp(path.stat().st_mtime).isoformat(sep=" ", timespec="minutes")


def _remove(path: Path, *endings: str) -> None:
    for ending in endings:
        beside(path, ending).unlink(missing_ok=True)
