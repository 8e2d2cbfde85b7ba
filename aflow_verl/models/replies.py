"""The SQLite file of replies: durable when ``put`` returns, at the price of one write for many replies.

WAL journal and ``synchronous=FULL``: what was put survives a kill of the process and a loss of power. Puts that come
at about the same time share a transaction (group commit), in a thread of its own, so a write to the disk
(0.6 ms here) costs the event loop nothing and a busy client little. Which keys the file has is known from memory as
long as no one else writes to it. Not covered: a disk that lies about having written,
and network file systems (WAL needs shared memory).
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from aflow_verl.errors import AflowVerlError, StorageError, UserError
from aflow_verl.types import Completion, Usage

_TABLE = """
CREATE TABLE IF NOT EXISTS completions (
    key TEXT PRIMARY KEY, text TEXT NOT NULL, finish_reason TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, cost_usd REAL,
    cache_read_tokens INTEGER NOT NULL DEFAULT 0, cache_write_tokens INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID
"""
_COLUMNS = "text, finish_reason, prompt_tokens, completion_tokens, cost_usd, cache_read_tokens, cache_write_tokens"
_INSERT = f"INSERT OR IGNORE INTO completions (key, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_SELECT = f"SELECT {_COLUMNS} FROM completions WHERE key = ?"
_ADDED = ("cache_read_tokens", "cache_write_tokens")
"""Columns that files of the first version lack."""

GATHER_S = 0.02
"""How long a write waits for more: each costs about a millisecond of computing, whatever its size."""
HELD = 1_000_000
"""Keys held in memory, at most; about 70 MB."""

Row = tuple[str, str, str, int, int, float | None, int, int]


class Replies:
    """One file. Use from one event loop; other processes may share it."""

    def __init__(self, path: Path | str) -> None:
        """Raises UserError where ``path`` is not a sound SQLite file, StorageError where it can't be opened."""
        self._path = Path(path)
        self._waiting: list[tuple[Row, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._held: set[int] | None = None
        self._alone_until = 0.0
        self._reader = self._connect()
        self._writer = self._connect()
        try:
            self._prepare()
        except sqlite3.Error as error:
            raise self._named(error) from error

    def get(self, key: str) -> Completion | None:
        """The reply, with the usage it once had."""
        if self._is_missing(key):
            return None
        try:
            row = self._reader.execute(_SELECT, (key,)).fetchone()
        except sqlite3.Error as error:
            raise self._named(error) from error
        if row is None:
            return None
        text, finish_reason, prompt, completion, cost, read, written = row
        return Completion(text, Usage(prompt, completion, cost, read, written), True, finish_reason)

    async def put(self, key: str, reply: Completion) -> None:
        """Keep a reply; one that is there already stays. Raises StorageError (disk) or UserError (damaged file)."""
        u = reply.usage
        tokens = (u.prompt_tokens, u.completion_tokens, u.cost_usd, u.cache_read_tokens, u.cache_write_tokens)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(((key, reply.text, reply.finish_reason, *tokens), done))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_waiting())
        await done

    def spent(self) -> tuple[float, int]:
        """Dollars and number of the replies in the file; unknown prices count as 0."""
        query = "SELECT coalesce(sum(cost_usd), 0.0), count(*) FROM completions"
        try:
            usd, calls = self._reader.execute(query).fetchone()
        except sqlite3.Error as error:
            raise self._named(error) from error
        return float(usd), int(calls)

    async def close(self) -> None:
        """Finish what is being written, and close."""
        if self._writing is not None:
            await self._writing
        self._reader.close()
        self._writer.close()

    async def _write_waiting(self) -> None:
        while self._waiting:
            await asyncio.sleep(GATHER_S)
            batch, self._waiting = self._waiting, []
            failure = await asyncio.to_thread(self._commit, [row for row, _ in batch])
            if failure is None:
                self._hold(row[0] for row, _ in batch)
            for _, done in batch:
                if done.done():
                    continue  # whoever put it has given up; the reply is kept all the same
                if failure is None:
                    done.set_result(None)
                else:
                    done.set_exception(failure)
        self._writing = None

    def _commit(self, rows: Sequence[Row]) -> AflowVerlError | None:
        """All rows in one transaction."""
        try:
            with self._writer:
                self._writer.execute("BEGIN IMMEDIATE")
                if self._version() == self._seen:
                    # Nobody who asks a model from now on has its reply in the file before this.
                    self._alone_until = time.monotonic() + GATHER_S
                else:
                    self._held = None
                self._writer.executemany(_INSERT, rows)
        except sqlite3.Error as error:
            return self._named(error)
        return None

    # ---- what is surely not in the file: a busy client looks up many calls that nobody has made before --------------

    def _is_missing(self, key: str) -> bool:
        """True only where nobody else had written to the file when we last did, and none can have since."""
        held = self._held
        return held is not None and hash(key) not in held and time.monotonic() < self._alone_until

    def _hold(self, keys: Iterable[str]) -> None:
        if self._held is not None:
            self._held.update(map(hash, keys))
            if len(self._held) > HELD:
                self._held = None

    def _version(self) -> int:
        """Changes with every write of another connection."""
        return int(self._writer.execute("PRAGMA data_version").fetchone()[0])

    def _connect(self) -> sqlite3.Connection:
        try:
            return sqlite3.connect(self._path, timeout=30.0, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise self._named(error) from error

    def _prepare(self) -> None:
        self._writer.execute("PRAGMA journal_mode = WAL")
        self._writer.execute("PRAGMA synchronous = FULL")
        self._writer.execute(_TABLE)
        present = {row[1] for row in self._writer.execute("PRAGMA table_info(completions)")}
        for column in _ADDED:
            if column not in present:
                self._writer.execute(f"ALTER TABLE completions ADD COLUMN {column} INTEGER NOT NULL DEFAULT 0")
        verdict = self._writer.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        self._writer.execute("BEGIN")  # keys and version of one moment
        self._held = set()
        self._hold(key for (key,) in self._writer.execute(f"SELECT key FROM completions LIMIT {HELD + 1}"))
        self._seen = self._version()
        self._writer.execute("COMMIT")

    def _named(self, error: sqlite3.Error) -> AflowVerlError:
        """SQLite's errors as ours: a bad file is the user's, a full or failing disk is infrastructure."""
        if (
            isinstance(error, sqlite3.OperationalError)
            and getattr(error, "sqlite_errorcode", 0) != sqlite3.SQLITE_ERROR
        ):
            return StorageError(f"models: the reply cache {self._path}: {error}", retryable=_passing(error))
        return UserError(
            f"models: the reply cache {self._path} is damaged or another program's file ({error}); move it away"
        )


async def spent_in(path: Path) -> tuple[float, int]:
    """Dollars and calls behind the replies of a file: what earlier starts of a run have spent."""
    replies = Replies(path)
    try:
        return replies.spent()
    finally:
        await replies.close()


def _passing(error: sqlite3.Error) -> bool:
    """True for a lock that goes away by itself, and for a full disk, which somebody may empty."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL)
