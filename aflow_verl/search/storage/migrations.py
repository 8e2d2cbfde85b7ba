"""From an empty or older database to today's tables, in one transaction.

The version stands in SQLite's ``user_version``, in PostgreSQL in a table. A step of ``MIGRATIONS`` leads from its
version to the next one. The last one may use today's tables; whoever changes those writes out what it makes first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, Table

from aflow_verl.errors import UserError
from aflow_verl.search.storage import tables
from aflow_verl.search.storage.database import SCHEMA
from aflow_verl.search.storage.rows import digest, sealed
from aflow_verl.search.storage.tables import SCHEMA_VERSION

APPLICATION_ID = 0x41464C57
"""``AFLW``: marks a SQLite file as ours, in its header, and keeps PostgreSQL's openers apart."""
_BATCH = 1000


def bring_up_to_date(connection: Connection, run: str) -> None:
    """Creates or migrates the tables. ``run``: whose the rows of version 1 are, which knew one run a file.

    Raises:
        UserError: the version is newer than this one reads.
    """
    if connection.dialect.name != "sqlite":
        _enter_schema(connection)
    version = _version(connection)
    if version == SCHEMA_VERSION:
        return
    refuse_newer(str(connection.engine.url.database), version)
    if version == 0:
        tables.metadata.create_all(connection)
    for step in range(version or SCHEMA_VERSION, SCHEMA_VERSION):
        MIGRATIONS[step](connection, run)
    _set_version(connection)


def refuse_newer(name: str, version: int) -> None:
    """Raises UserError for a version that this program doesn't know."""
    if version > SCHEMA_VERSION:
        raise UserError(
            f"{name}: has store schema {version}, this version of aflow-verl reads schema {SCHEMA_VERSION}; "
            "use the version that wrote it, or name another store"
        )


def _enter_schema(connection: Connection) -> None:
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({APPLICATION_ID})")  # one opener at a time
    if connection.exec_driver_sql(f"SELECT to_regnamespace('{SCHEMA}')").scalar() is None:
        connection.exec_driver_sql(f"CREATE SCHEMA {SCHEMA}")
    connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)")


def _version(connection: Connection) -> int:
    """0: there are no tables yet."""
    if connection.dialect.name == "sqlite":
        return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
    return int(connection.exec_driver_sql("SELECT version FROM schema_version").scalar() or 0)


def _set_version(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION}")
        return
    connection.exec_driver_sql("DELETE FROM schema_version")
    connection.exec_driver_sql(f"INSERT INTO schema_version VALUES ({SCHEMA_VERSION})")


def _one_to_two(connection: Connection, run: str) -> None:
    """Rows of trees, critic and experience get the run that made them, all rows get a checksum."""
    for table in _OF_TWO:
        connection.exec_driver_sql(f"ALTER TABLE {table.name} RENAME TO {table.name}_1")
    tables.metadata.create_all(connection, _OF_TWO)
    for table in _OF_TWO:
        for batch in _batches(connection, f"SELECT * FROM {table.name}_1"):
            connection.execute(table.insert(), [_row_of_two(table, old, run) for old in batch])
        connection.exec_driver_sql(f"DROP TABLE {table.name}_1")


def _row_of_two(table: Table, old: Mapping[str, Any], run: str) -> dict[str, Any]:
    row = {**old, "run": run}
    return sealed(table, {**row, "digest": digest(row["record"])} if "record" in row else row)


def _batches(connection: Connection, query: str) -> Iterator[list[dict[str, Any]]]:
    rows = connection.exec_driver_sql(query).mappings()
    while batch := rows.fetchmany(_BATCH):
        yield [dict(row) for row in batch]


def _two_to_three(connection: Connection, run: str) -> None:
    """Rows for the critic's replay have a table."""
    tables.replay.create(connection)


def _three_to_four(connection: Connection, run: str) -> None:
    """The critic has two targets a row. Rows with one are dropped: it meant something else, and new rows come soon."""
    tables.replay.drop(connection)
    tables.replay.create(connection)


_OF_TWO = (tables.meta, tables.grades, tables.roots, tables.deltas, tables.qvalues, tables.experience)
"""The tables of version 2, which are as they were."""
MIGRATIONS: Mapping[int, Callable[[Connection, str], None]] = {1: _one_to_two, 2: _two_to_three, 3: _three_to_four}
