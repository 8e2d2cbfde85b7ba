"""What was acknowledged is there: after ``kill -9`` at any moment, on a full disk, on a read-only disk."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from aflow_verl.errors import StorageError
from aflow_verl.search.store import Store
from aflow_verl.types import Grade

pytestmark = pytest.mark.slow

KILLS = 100
SEED = 0
FORK = multiprocessing.get_context("fork")
"""Forked: an import takes seconds, and the kills are to hit the writing."""


def _pair(text: str = "") -> list[Grade]:
    return [Grade("p0", 1.0, text), Grade("p1", 0.5, text)]


def _write(path: Path, name: str, acknowledge: int) -> None:
    """Until killed; says so after each write. Every twentieth step makes a good copy."""
    with Store(path) as store:
        i = 0
        while True:
            store.put_grades(f"{name}/{i}", "m", _pair("x" * (i % 7 * 900)))
            store.put_meta(name, i)
            os.write(acknowledge, b".")
            i += 1
            if i % 20 == 0:
                store.keep_good_copy()


def _killed(path: Path, name: str, seconds: float) -> int:
    """How many writes were acknowledged before the kill."""
    reader, writer = os.pipe()
    process = FORK.Process(target=_write, args=(path, name, writer))
    process.start()
    os.close(writer)
    time.sleep(seconds)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    with open(reader, "rb") as pipe:
        return len(pipe.read())


def test_every_acknowledged_write_survives_a_hundred_kills(tmp_path: Path) -> None:
    path, rng = tmp_path / "tree.sqlite", random.Random(SEED)
    acknowledged: dict[str, int] = {}
    for kill in range(KILLS):
        name = f"k{kill}"
        acknowledged[name] = _killed(path, name, rng.uniform(0.0, 0.3))
        with Store(path) as store:
            assert store.notices == (), "a kill damages nothing"
            assert store.get_meta(name, -1) >= acknowledged[name] - 1
            for i in range(acknowledged[name]):
                assert set(store.get_grades(f"{name}/{i}", "m", ["p0", "p1"])) == {"p0", "p1"}
            beyond = store.get_grades(f"{name}/{acknowledged[name]}", "m", ["p0", "p1"])
            assert len(beyond) in (0, 2), "a transaction is there whole or not at all"
    assert sum(count > 0 for count in acknowledged.values()) > KILLS / 4, "most kills hit the writing"
    with Store(path) as store:
        for name, count in acknowledged.items():
            assert all(len(store.get_grades(f"{name}/{i}", "m", ["p0", "p1"])) == 2 for i in range(count))


UNTIL_IT_FAILS = """
import itertools, sys
from aflow_verl.errors import StorageError
from aflow_verl.search.store import Store
from aflow_verl.types import Grade
with Store(sys.argv[1]) as store:
    for i in itertools.count():
        try:
            store.put_grades(f"w{i}", "m", [Grade("p0", 1.0, "x" * 3000)])
        except StorageError as failure:
            print(failure, "| retryable", failure.retryable)
            break
        if i == 10:
            store.keep_good_copy()
        print(i, flush=True)
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB of its own."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(tmp_path)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("nothing can be mounted here")
    yield tmp_path
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def _check(path: Path, acknowledged: list[str]) -> None:
    with Store(path) as store:
        assert store.notices == ()
        for i in acknowledged:
            assert len(store.get_grades(f"w{i}", "m", ["p0"])) == 1
        store.put_meta("goes", "on")


def test_a_full_disk(small_disk: Path) -> None:
    path = small_disk / "tree.sqlite"
    done = subprocess.run([sys.executable, "-c", UNTIL_IT_FAILS, str(path)], capture_output=True, text=True, check=True)
    *acknowledged, failure = done.stdout.splitlines()
    assert failure == f"{path}: database or disk is full | retryable True"
    assert len(acknowledged) > 20
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    _check(path, acknowledged)


def test_a_read_only_disk(small_disk: Path) -> None:
    path = small_disk / "tree.sqlite"
    with Store(path) as store:
        store.put_grades("w0", "m", _pair())
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(StorageError, match=r"tree\.sqlite: can't be opened: .*Read-only file system") as failure:
        Store(path)
    assert not failure.value.retryable
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    _check(path, ["0"])
