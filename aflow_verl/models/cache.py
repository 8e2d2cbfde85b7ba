"""A persistent cache in front of a client: a call that was answered once is never paid or computed again.

Greedy calls have one answer; sampled calls have one for each ``sample_index``. Equal calls in flight share one.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from aflow_verl.errors import UserError
from aflow_verl.models.client import ModelClient, request_key
from aflow_verl.types import Completion, Message, SamplingParams, Usage

_SCHEMA = """
CREATE TABLE IF NOT EXISTS completions (
    key TEXT PRIMARY KEY, text TEXT NOT NULL, finish_reason TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, cost_usd REAL
) WITHOUT ROWID
"""


class CachedClient:
    """``inner`` behind an SQLite file. Use from one event loop; other processes may share the file."""

    def __init__(self, inner: ModelClient, path: Path | str) -> None:
        """Raises ``UserError`` where ``path`` is not a readable SQLite file."""
        self._inner = inner
        self.fingerprint = inner.fingerprint
        self._in_flight: dict[str, asyncio.Task[Completion]] = {}
        try:
            self._database = sqlite3.connect(path, timeout=30.0, isolation_level=None, check_same_thread=False)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.execute(_SCHEMA)
        except sqlite3.Error as broken:
            raise UserError(
                f"models: the reply cache {path} can't be used ({broken}); move it away or repair it"
            ) from None

    async def complete(self, messages: Sequence[Message], params: SamplingParams) -> Completion:
        """The stored reply with ``cached=True`` and the usage it once had, else the model's. Failures aren't stored."""
        key = request_key(self.fingerprint, messages, params)
        if (stored := self._read(key)) is not None:
            return stored
        if (running := self._in_flight.get(key)) is not None:
            return replace(await asyncio.shield(running), cached=True)
        task = asyncio.ensure_future(self._ask(key, messages, params))
        self._in_flight[key] = task
        task.add_done_callback(lambda done: self._forget(key, done))
        # Shielded: a caller that gives up must not take the reply away from the others.
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Close the inner client and the file; calls in flight are cancelled."""
        for task in list(self._in_flight.values()):
            task.cancel()
        await asyncio.gather(*self._in_flight.values(), return_exceptions=True)
        await self._inner.close()
        self._database.close()

    async def _ask(self, key: str, messages: Sequence[Message], params: SamplingParams) -> Completion:
        completion = await self._inner.complete(messages, params)
        usage = completion.usage
        self._database.execute(
            "INSERT OR IGNORE INTO completions VALUES (?, ?, ?, ?, ?, ?)",
            (
                key,
                completion.text,
                completion.finish_reason,
                usage.prompt_tokens,
                usage.completion_tokens,
                usage.cost_usd,
            ),
        )
        return completion

    def _read(self, key: str) -> Completion | None:
        row = self._database.execute(
            "SELECT text, finish_reason, prompt_tokens, completion_tokens, cost_usd FROM completions WHERE key = ?",
            (key,),
        ).fetchone()
        if row is None:
            return None
        text, finish_reason, *usage = row
        return Completion(text, Usage(*usage), cached=True, finish_reason=finish_reason)

    def _forget(self, key: str, done: asyncio.Task[Completion]) -> None:
        self._in_flight.pop(key, None)
        if not done.cancelled():
            done.exception()  # marks it as seen where every caller has given up
