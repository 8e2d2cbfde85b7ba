"""Edits that workers are at: counted for selectors, and what they are about to try, so that nobody tries it twice."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class UnderWay:
    """See the top of this file."""

    def __init__(self) -> None:
        self._edits: Counter[str] = Counter()
        self._claimed: defaultdict[str, set[str]] = defaultdict(set)
        self._ended = asyncio.Event()

    @property
    def edits(self) -> Mapping[str, int]:
        """By node id."""
        return +self._edits

    def claimed(self, node_id: str) -> frozenset[str]:
        """Actions and workflows that are about to be tried on a node."""
        return frozenset(self._claimed[node_id])

    @contextmanager
    def edit(self, node_id: str) -> Iterator[set[str]]:
        """An edit of this node; what is added to the set by ``claim`` is free again at the end."""
        claims: set[str] = set()
        self._edits[node_id] += 1
        try:
            yield claims
        finally:
            self._edits[node_id] -= 1
            self._claimed[node_id] -= claims
            self._ended.set()

    def claim(self, node_id: str, claims: set[str], names: set[str]) -> None:
        """These are about to be tried on the node, by the edit with these ``claims``."""
        claims |= names
        self._claimed[node_id] |= names

    async def one_ended(self) -> bool:
        """Waits until an edit has ended; False where none is under way."""
        if not self._edits.total():
            return False
        self._ended.clear()
        await self._ended.wait()
        return True
