"""What the store adds to a grade on the paid path: a write to the disk, and little beside it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from aflow_verl.search.store import Store
from aflow_verl.types import Grade

pytestmark = pytest.mark.perf

WRITES = 200
MOST_CPU_MS = 1.0
ROOM = 2.0
"""A slow or busy machine must not fail a build; the figures are printed beside their target."""
"""Of a processor that others don't use; what the disk takes comes on top."""


def _each_ms(work: Callable[[int], object]) -> tuple[float, float]:
    """Wall and processor milliseconds of one call, mean."""
    wall, cpu = time.perf_counter(), time.process_time()
    for i in range(WRITES):
        work(i)
    return (time.perf_counter() - wall) / WRITES * 1e3, (time.process_time() - cpu) / WRITES * 1e3


def test_a_grade_costs_a_write_to_the_disk(tmp_path: Path) -> None:
    raw = sqlite3.connect(tmp_path / "raw.sqlite", isolation_level=None)
    raw.execute("PRAGMA journal_mode = WAL")
    raw.execute("PRAGMA synchronous = FULL")
    raw.execute("CREATE TABLE grades (id INTEGER PRIMARY KEY, answer TEXT)")
    bare, _ = _each_ms(lambda i: raw.execute("INSERT INTO grades VALUES (?, ?)", (i, "x" * 200)))
    raw.close()
    with Store(tmp_path / "tree.sqlite") as store:
        store.put_grades("warm", "m", [Grade("p", 1.0)])
        put, put_cpu = _each_ms(lambda i: store.put_grades("w", "m", [Grade(f"p{i}", 1.0, "x" * 200)]))
        store.get_grades("warm", "m", ["p"])
        get, get_cpu = _each_ms(lambda i: store.get_grades("w", "m", [f"p{i}"]))
        many = [Grade(f"p{i}", 1.0, "x" * 200) for i in range(20_000)]
        started = time.perf_counter()
        store.put_grades("v", "m", many)
        batch = time.perf_counter() - started
    started = time.perf_counter()
    Store(tmp_path / "tree.sqlite").close()
    opened = time.perf_counter() - started
    print(f"\none grade: put {put:.2f} ms ({put_cpu:.2f} ms of processor; the bare write {bare:.2f} ms),", end=" ")
    print(
        f"get {get:.2f} ms ({get_cpu:.2f}); 20,000 at once {batch:.2f} s; opening and reading them all {opened:.2f} s"
    )
    assert put_cpu <= MOST_CPU_MS * ROOM
    assert get_cpu <= MOST_CPU_MS * ROOM
