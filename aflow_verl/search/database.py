"""One SQLite file as the store wants it: durable, ours, and with its failures named.

WAL journal and ``synchronous=FULL``: what a committed transaction wrote is there after a kill of the process and after
a loss of power. Not covered: a disk that lies about having written, and network file systems (WAL needs shared memory).
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aflow_verl.errors import StorageError, UserError

APPLICATION_ID = 0x41464C57
"""``AFLW``: marks the file as ours in SQLite's header."""

SCHEMA_VERSION = 1

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE grades (
    state_hash TEXT NOT NULL, fingerprint TEXT NOT NULL, problem_id TEXT NOT NULL,
    score REAL NOT NULL, answer TEXT NOT NULL, error TEXT, calls INTEGER NOT NULL, cost_usd REAL NOT NULL,
    PRIMARY KEY (state_hash, fingerprint, problem_id)
) WITHOUT ROWID;
CREATE TABLE roots (benchmark TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE deltas (
    benchmark TEXT NOT NULL, step INTEGER NOT NULL, key TEXT NOT NULL, records TEXT NOT NULL,
    position INTEGER,
    PRIMARY KEY (benchmark, step, key)
) WITHOUT ROWID;
CREATE TABLE qvalues (step INTEGER PRIMARY KEY, snapshot TEXT NOT NULL);
CREATE TABLE experience (
    id INTEGER PRIMARY KEY, benchmark TEXT NOT NULL, step INTEGER NOT NULL, record TEXT NOT NULL,
    UNIQUE (benchmark, step, record)
);
"""
"""Trees and experience are per benchmark. ``deltas.position`` is NULL until the delta's step is committed."""


class Database:
    """A connection that any thread may use, one at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._connection = _connect(path)
        try:
            with self._named_failures():
                self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of the block's writes or none; they are durable when it ends. Raises StorageError or UserError."""
        with self._lock, self._named_failures():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One consistent view for the block's reads."""
        with self._lock, self._named_failures():
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def _prepare(self) -> None:
        connection = self._connection
        owner = connection.execute("PRAGMA application_id").fetchone()[0]
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if owner != APPLICATION_ID and tables:
            raise UserError(f"{self.path}: is a database of another program; name another file in store.path")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        if not tables:
            self._create()
        self._check()

    def _create(self) -> None:
        with self.transaction() as connection:
            for statement in SCHEMA.split(";"):
                if statement.strip():
                    connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _check(self) -> None:
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version != SCHEMA_VERSION:
            raise UserError(
                f"{self.path}: has store schema {version}, this version of aflow-verl reads schema {SCHEMA_VERSION}; "
                "name another file in store.path or use the version that wrote it"
            )
        verdict = self._connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise _damaged(self.path, verdict)

    @contextmanager
    def _named_failures(self) -> Iterator[None]:
        """SQLite's errors as ours: a bad file is the user's, a full or failing disk is infrastructure."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise StorageError(f"{self.path}: {error}", retryable=_passing(error)) from error
        except sqlite3.ProgrammingError as error:
            raise StorageError(f"{self.path}: {error}", retryable=False) from error
        except sqlite3.IntegrityError:
            raise
        except sqlite3.DatabaseError as error:
            raise _damaged(self.path, str(error)) from error


def _connect(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30.0)
    except (OSError, sqlite3.OperationalError) as error:
        raise StorageError(f"{path}: can't be opened: {error}", retryable=False) from error


def _passing(error: sqlite3.OperationalError) -> bool:
    """True for a lock held by another writer, which goes away by itself."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _damaged(path: Path, why: str) -> UserError:
    return UserError(
        f"{path}: is damaged or no store of aflow-verl ({why}); move it away or name another in store.path"
    )
