"""A database as the store wants it: durable, with consistent reads, and with its failures named.

SQLite: WAL journal and ``synchronous=FULL``, so what a committed transaction wrote is there after a kill of the process
and after a loss of power. Readers see the state of one moment and stop no writer; writers wait for each other. Not
covered: a disk that lies about having written, and network file systems (WAL needs shared memory).
PostgreSQL: ``synchronous_commit=on``, reads are REPEATABLE READ, and the tables lie in a schema of their own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import nullcontext
from time import sleep
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, Table, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite

from aflow_verl.errors import StorageError
from aflow_verl.search.storage.address import SQLITE, shown
from aflow_verl.search.storage.failures import named
from aflow_verl.search.storage.rows import Row

T = TypeVar("T")

BUSY_SECONDS = 30.0
"""How long a writer waits for others; each holds the lock for a millisecond or two."""
CONNECT_SECONDS = 10
PAUSES = (0.1, 0.5, 2.0)
"""Seconds between the tries of work that a passing failure stopped: a lock, a full disk, a server that restarts."""
SCHEMA = "aflow_verl"
"""PostgreSQL's schema for our tables."""
CONNECTIONS = 8
"""Threads that read at once; more wait."""


class Database:
    """An engine for one URL. May be used from any thread.

    ``write`` and ``read`` repeat their work after a passing failure; it must be all right to do twice, because the
    first time may have succeeded without a word.
    """

    def __init__(self, url: URL, pauses: tuple[float, ...] = PAUSES) -> None:
        """Opens nothing yet."""
        self.name = shown(url)
        self.is_file = url.drivername == SQLITE
        self._pauses = pauses
        self._engine: Engine | None = _sqlite_engine(url) if self.is_file else _postgresql_engine(url)
        self._writing = threading.Lock() if self.is_file else nullcontext()

    def close(self) -> None:
        """Later calls raise StorageError."""
        with self._writing:
            engine, self._engine = self._engine, None
        if engine is not None:
            engine.dispose()

    def write(self, work: Callable[[Connection], T]) -> T:
        """Does ``work`` in one transaction: all of its writes or none; durable when this returns.

        Raises:
            StorageError: after the last try.
            UserError: a damaged file.
        """
        options: dict[str, Any] = {"begin": "BEGIN IMMEDIATE"} if self.is_file else {}
        return self._tried(lambda: self._once(work, options))

    def read(self, work: Callable[[Connection], T]) -> T:
        """Does ``work``, which sees the state of one moment. Raises what ``write`` does."""
        if self.is_file:
            return self._tried(lambda: self._begun(work, {}))
        return self._tried(
            lambda: self._begun(work, {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True})
        )

    def _once(self, work: Callable[[Connection], T], options: dict[str, Any]) -> T:
        with self._writing:
            return self._begun(work, options)

    def _begun(self, work: Callable[[Connection], T], options: dict[str, Any]) -> T:
        if self._engine is None:
            raise StorageError(f"{self.name}: is closed", retryable=False)
        with named(self.name), self._engine.connect() as connection:
            connection.execution_options(**options)
            with connection.begin():
                return work(connection)

    def _tried(self, work: Callable[[], T]) -> T:
        for pause in self._pauses:
            try:
                return work()
            except StorageError as failure:
                if not failure.retryable:
                    raise
            sleep(pause)
        return work()


def insert(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that knows ON CONFLICT; both databases have the same one."""
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


def replace(connection: Connection, table: Table, row: Row) -> None:
    """Puts the row in the place of the one with its primary key, if there is one."""
    new = insert(connection, table)
    values = {name: new.excluded[name] for name in row}
    connection.execute(new.on_conflict_do_update(index_elements=list(table.primary_key), set_=values), row)


def _sqlite_engine(url: URL) -> Engine:
    arguments = {"timeout": BUSY_SECONDS, "check_same_thread": False}
    engine = create_engine(url, connect_args=arguments, pool_size=CONNECTIONS, max_overflow=0)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, record: object) -> None:
        connection.isolation_level = None  # sqlite3 would begin transactions by a rule of its own
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))

    return engine


def _postgresql_engine(url: URL) -> Engine:
    arguments = {"connect_timeout": CONNECT_SECONDS}
    engine = create_engine(url, connect_args=arguments, pool_size=CONNECTIONS, max_overflow=0)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, record: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET synchronous_commit = on")
            cursor.execute(f"SET search_path = {SCHEMA}")
        connection.commit()

    return engine
