"""Grades: durable before they are returned, written together, read from memory."""

import asyncio
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest

from aflow_verl.errors import StorageError
from aflow_verl.evaluation.grades import Grades, MemoryStore
from aflow_verl.search.store import Store
from aflow_verl.types import Grade

SHELF = ("workflow", "executor")


class Slow(MemoryStore):
    """Writes wait for ``go``; a list of what each of them had."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.failure: StorageError | None = None
        self.writes: list[tuple[str, list[str]]] = []

    def put_grades(self, state_hash: str, fingerprint: str, grades: Iterable[Grade]) -> None:
        assert self.go.wait(10)
        if self.failure is not None:
            raise self.failure
        portion = list(grades)
        self.writes.append((state_hash, [grade.problem_id for grade in portion]))
        super().put_grades(state_hash, fingerprint, portion)


async def test_a_grade_is_not_known_before_it_is_durable_and_writes_are_shared() -> None:
    store = Slow()
    grades = Grades(store)
    puts = [asyncio.ensure_future(grades.put(SHELF, Grade(f"p{k}", 1.0))) for k in range(3)]
    puts.append(asyncio.ensure_future(grades.put(("other", "executor"), Grade("p9", 1.0))))
    await asyncio.sleep(0.05)
    late = asyncio.ensure_future(grades.put(SHELF, Grade("p3", 1.0)))
    await asyncio.sleep(0.05)
    assert not any(put.done() for put in puts)
    assert grades.recall(SHELF, ["p0"]) == {}
    store.go.set()
    await asyncio.gather(*puts, late)
    assert store.writes == [("workflow", ["p0", "p1", "p2"]), ("other", ["p9"]), ("workflow", ["p3"])]
    assert list(grades.recall(SHELF, ["p3", "p7", "p1"])) == ["p3", "p1"]
    await grades.close()


async def test_a_failed_write_reaches_everyone_in_it_and_the_next_one_may_succeed() -> None:
    store = Slow()
    store.go.set()
    store.failure = StorageError("disk full")
    grades = Grades(store)
    for outcome in await asyncio.gather(
        *(grades.put(SHELF, Grade(f"p{k}", 1.0)) for k in range(2)), return_exceptions=True
    ):
        assert isinstance(outcome, StorageError)
    assert grades.recall(SHELF, ["p0"]) == {}
    store.failure = None
    await grades.put(SHELF, Grade("p0", 1.0))
    assert set(grades.recall(SHELF, ["p0"])) == {"p0"}


async def test_a_writer_that_was_given_up_is_written_all_the_same() -> None:
    store = Slow()
    grades = Grades(store)
    put = asyncio.ensure_future(grades.put(SHELF, Grade("p0", 1.0)))
    await asyncio.sleep(0.05)
    put.cancel()
    store.go.set()
    await grades.close()
    assert store.writes == [("workflow", ["p0"])]


async def test_memory_is_bounded_and_the_store_has_the_rest() -> None:
    grades = Grades(MemoryStore(), kept=4)
    for name in ("a", "b", "c"):
        for k in range(2):
            await grades.put((name, "x"), Grade(f"p{k}", 1.0))
    assert grades.recall(("a", "x"), ["p0", "p1"]) == {}
    assert len(grades.recall(("b", "x"), ["p0", "p1"])) == len(grades.recall(("c", "x"), ["p0", "p1"])) == 2
    await grades.look_up(("a", "x"), ["p0", "p1"])
    assert len(grades.recall(("a", "x"), ["p0", "p1"])) == 2
    assert grades.recall(("b", "x"), ["p0"]) == {}


@pytest.mark.parametrize("memory", [True, False])
async def test_stores_are_interchangeable(tmp_path: Path, memory: bool) -> None:
    store = MemoryStore() if memory else Store(tmp_path / "tree.sqlite")
    await Grades(store).put(SHELF, Grade("p0", 0.5, "answer", None, 3, 0.25))
    later = Grades(store)
    await later.look_up(SHELF, ["p0", "p1"])
    assert later.recall(SHELF, ["p0", "p1"]) == {"p0": Grade("p0", 0.5, "answer", None, 3, 0.25)}


async def test_the_last_grade_of_an_evaluation_takes_the_waiting_ones_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aflow_verl.evaluation.grades.GATHER_S", 60.0)
    store = Slow()
    store.go.set()
    grades = Grades(store)
    waiting = asyncio.ensure_future(grades.put(SHELF, Grade("p0", 1.0)))
    await asyncio.sleep(0.05)
    assert not store.writes
    async with asyncio.timeout(10):
        await asyncio.gather(waiting, grades.put(SHELF, Grade("p1", 1.0), last=True))
    assert store.writes == [("workflow", ["p0", "p1"])]


async def test_shelves_share_a_write_of_a_store_that_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[int] = []
    with Store(tmp_path / "tree.sqlite") as store:
        write = store._database.write
        monkeypatch.setattr(store._database, "write", lambda work: (writes.append(1), write(work))[1])
        grades = Grades(store)
        shelves = [(f"workflow {k}", "executor") for k in range(3)]
        await asyncio.gather(*(grades.put(shelf, Grade(p, 0.5)) for shelf in shelves for p in ("p1", "p0")))
        assert len(writes) == 1
        for shelf in shelves:
            assert set(store.get_grades(*shelf, ["p0", "p1"])) == {"p0", "p1"}
