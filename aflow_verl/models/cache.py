"""A persistent cache in front of a client: a call that was answered once is never paid or computed again.

Greedy calls have one answer; sampled calls have one for each ``sample_index``. Equal calls in flight share one. A reply
is on the disk before anyone sees it (``replies.Replies``), so a crash never pays twice for what was used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from aflow_verl.models.client import ModelClient, request_key
from aflow_verl.models.replies import Replies
from aflow_verl.types import Completion, Message, SamplingParams


class CachedClient:
    """``inner`` behind a file of replies. Use from one event loop; other processes may share the file."""

    def __init__(self, inner: ModelClient, path: Path | str) -> None:
        """Raises ``UserError`` where ``path`` is not a sound SQLite file."""
        self._inner = inner
        self._replies = Replies(path)
        self._in_flight: dict[str, asyncio.Task[Completion]] = {}
        self._unsaved: dict[str, Completion] = {}

    @property
    def fingerprint(self) -> str:
        return self._inner.fingerprint

    async def complete(self, messages: Sequence[Message], params: SamplingParams) -> Completion:
        """The stored reply with ``cached=True`` and the usage it once had, else the model's. Failures aren't stored.

        Raises what the inner client does, StorageError (disk) and UserError (damaged file).
        """
        fingerprint = self._inner.fingerprint
        key = request_key(fingerprint, messages, params)
        if (running := self._in_flight.get(key)) is not None:
            return replace(await asyncio.shield(running), cached=True)
        if (stored := self._replies.get(key)) is not None:
            return stored
        task = self._in_flight[key] = asyncio.create_task(self._ask(key, fingerprint, messages, params))
        # Shielded: a caller that gives up must not take the reply away from the others.
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Close the inner client and the file; calls in flight are cancelled."""
        tasks = list(self._in_flight.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._inner.close()
        await self._replies.close()

    async def _ask(self, key: str, fingerprint: str, messages: Sequence[Message], params: SamplingParams) -> Completion:
        try:
            # A reply that could not be written is paid for: it is written again, not asked for again.
            completion = self._unsaved.get(key) or await self._inner.complete(messages, params)
            if self._inner.fingerprint != fingerprint:
                return completion  # nobody can say which of the two models has answered
            self._unsaved[key] = completion
            await self._replies.put(key, completion)
            del self._unsaved[key]
            return completion
        finally:
            del self._in_flight[key]
