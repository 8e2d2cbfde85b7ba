"""Where grades are kept: durable in a store, and those that are asked for again in memory."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, runtime_checkable

from aflow_verl.types import Grade

Shelf = tuple[str, str]
"""A workflow's hash and a fingerprint: what the grades of one evaluation have in common."""

KEPT = 200_000
"""Grades held in memory; about 100 MB with short answers. The store has them all."""


GATHER_S = 0.04
"""How long a write waits for more: it costs a millisecond of computing whatever its size, and nobody holds a place or a
call while waiting for it. An evaluation's last grade waits for nothing."""


class GradeStore(Protocol):
    """Where finished grades outlive the process; ``search.store.Store`` is one. Methods are called from threads."""

    def get_grades(self, state_hash: str, fingerprint: str, problem_ids: Iterable[str]) -> Mapping[str, Grade]:
        """The known grades by problem id."""
        ...

    def put_grades(self, state_hash: str, fingerprint: str, grades: Iterable[Grade]) -> None:
        """Durable when it returns."""
        ...


@runtime_checkable
class GatheringStore(GradeStore, Protocol):
    """One that writes the grades of several shelves together, which saves it a transaction for each."""

    def put_shelves(self, shelves: Mapping[Shelf, Sequence[Grade]]) -> None:
        """All of them or none; durable when it returns."""
        ...


class MemoryStore:
    """A store for studies and tests: it lives as long as the process."""

    def __init__(self) -> None:
        self._grades: dict[tuple[str, str, str], Grade] = {}

    def get_grades(self, state_hash: str, fingerprint: str, problem_ids: Iterable[str]) -> Mapping[str, Grade]:
        keys = {problem_id: (state_hash, fingerprint, problem_id) for problem_id in problem_ids}
        return {problem_id: self._grades[key] for problem_id, key in keys.items() if key in self._grades}

    def put_grades(self, state_hash: str, fingerprint: str, grades: Iterable[Grade]) -> None:
        self._grades.update({(state_hash, fingerprint, grade.problem_id): grade for grade in grades})


class Grades:
    """A store behind a memory. Use from one event loop.

    A disk takes milliseconds to confirm a write, whatever its size. So the event loop doesn't wait for it, and what is
    finished at about the same time is written together.
    """

    def __init__(self, store: GradeStore, kept: int = KEPT) -> None:
        """``kept``: grades held in memory; the shelves used longest ago make room."""
        self._store = store
        self._kept = kept
        self._held = 0
        self._shelves: OrderedDict[Shelf, dict[str, Grade]] = OrderedDict()
        self._unwritten: list[tuple[Shelf, Grade, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None
        self._due = asyncio.Event()

    def recall(self, shelf: Shelf, problem_ids: Sequence[str]) -> dict[str, Grade]:
        """What the memory holds, by problem id."""
        if (held := self._shelves.get(shelf)) is None:
            return {}
        self._shelves.move_to_end(shelf)
        return {problem_id: held[problem_id] for problem_id in problem_ids if problem_id in held}

    async def look_up(self, shelf: Shelf, problem_ids: Sequence[str]) -> None:
        """Brings what the store knows into memory. Raises StorageError and UserError."""
        known = await asyncio.to_thread(self._store.get_grades, *shelf, problem_ids)
        self._hold(shelf, known.values())

    async def put(self, shelf: Shelf, grade: Grade, *, last: bool = False) -> None:
        """Durable when it returns; soon, if it is the last one that somebody waits for. Raises StorageError and
        UserError."""
        written = asyncio.get_running_loop().create_future()
        self._unwritten.append((shelf, grade, written))
        if last:
            self._due.set()
        if self._writer is None:
            self._writer = asyncio.ensure_future(self._write())
        await written

    async def close(self) -> None:
        """Waits for what is being written."""
        if self._writer is not None:
            await self._writer

    async def _write(self) -> None:
        while self._unwritten:
            await self._gather()
            batch, self._unwritten = self._unwritten, []
            shelves: dict[Shelf, list[Grade]] = {}
            for shelf, grade, _ in batch:
                shelves.setdefault(shelf, []).append(grade)
            [failure] = await asyncio.gather(asyncio.to_thread(self._put_all, shelves), return_exceptions=True)
            for shelf, grade, written in batch:
                if failure is None:
                    self._hold(shelf, [grade])
                if not written.done():
                    written.set_result(None) if failure is None else written.set_exception(failure)
        self._writer = None

    async def _gather(self) -> None:
        timer = asyncio.get_running_loop().call_later(GATHER_S, self._due.set)
        await self._due.wait()
        timer.cancel()
        self._due.clear()

    def _put_all(self, shelves: Mapping[Shelf, Sequence[Grade]]) -> None:
        if isinstance(self._store, GatheringStore):
            self._store.put_shelves(shelves)
            return
        for shelf, grades in shelves.items():
            self._store.put_grades(*shelf, grades)

    def _hold(self, shelf: Shelf, grades: Iterable[Grade]) -> None:
        held = self._shelves.setdefault(shelf, {})
        before = len(held)
        held.update({grade.problem_id: grade for grade in grades})
        self._held += len(held) - before
        self._shelves.move_to_end(shelf)
        while self._held > self._kept and len(self._shelves) > 1:
            _, dropped = self._shelves.popitem(last=False)
            self._held -= len(dropped)
