"""The store's tables, the same in SQLite and PostgreSQL.

Grades and experience belong to everyone who uses the store, the rest to one run. Text that is longer than a name is
JSON, and ``checksum`` seals a row (``rows.sealed``): SQLite itself doesn't notice a changed letter. A change here
takes another ``SCHEMA_VERSION`` and a step in ``migrations``.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, Integer, MetaData, Table, Text, UniqueConstraint

SCHEMA_VERSION = 4

metadata = MetaData()

_COUNTER = BigInteger().with_variant(Integer(), "sqlite")
"""SQLite numbers the rows of an INTEGER key by itself, and of no other."""


def _key(name: str) -> Column[str]:
    return Column(name, Text, primary_key=True)


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _step(*, key: bool) -> Column[int]:
    return Column("step", Integer, primary_key=key, nullable=False, autoincrement=False)


def _checksum() -> Column[int]:
    return Column("checksum", BigInteger, nullable=False)


meta = Table("meta", metadata, _key("run"), _key("key"), _text("value"), _checksum(), sqlite_with_rowid=False)

grades = Table(
    "grades",
    metadata,
    _key("state_hash"),
    _key("fingerprint"),
    _key("problem_id"),
    Column("score", Double, nullable=False),
    _text("answer"),
    Column("error", Text),
    Column("calls", Integer, nullable=False),
    Column("cost_usd", Double, nullable=False),
    _checksum(),
    sqlite_with_rowid=False,
)

roots = Table("roots", metadata, _key("run"), _key("benchmark"), _text("state"), _checksum(), sqlite_with_rowid=False)

deltas = Table(
    "deltas",
    metadata,
    _key("run"),
    _key("benchmark"),
    _step(key=True),
    _key("key"),
    _text("records"),
    Column("position", Integer),
    _checksum(),
    sqlite_with_rowid=False,
)
"""``position`` is null until the delta's step is committed."""

qvalues = Table("qvalues", metadata, _key("run"), _step(key=True), _text("snapshot"), _checksum())

experience = Table(
    "experience",
    metadata,
    Column("id", _COUNTER, primary_key=True),
    _text("benchmark"),
    _text("run"),
    _step(key=False),
    _text("record"),
    _text("digest"),
    _checksum(),
    UniqueConstraint("benchmark", "run", "step", "digest"),
)
"""``run``: which one made it. ``digest``: SHA-256 of the record, which is too long for a key of PostgreSQL."""

replay = Table(
    "replay",
    metadata,
    _key("run"),
    _step(key=True),
    _key("origin"),
    Column("v", Double, nullable=False),
    Column("q", Double, nullable=False),
    Column("after", Double),
    Column("surprise", Double),
    _checksum(),
    _text("prompt_ids"),
    _text("response_ids"),
    sqlite_with_rowid=False,
)
"""The long columns come last: rows are chosen by the others."""

OF_RUNS = (meta, roots, deltas, qvalues)
"""What makes sense only together: where each run stands."""
SHARED = (grades, experience, replay)
"""Rows that stand on their own."""
