"""Damaged SQLite files: found, named, set aside and restored from what can be read and from the last good copy."""

import multiprocessing
import os
import random
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from aflow_verl.errors import StorageError, UserError
from aflow_verl.search.experience import ExperienceRecord
from aflow_verl.search.storage import recovery
from aflow_verl.search.storage.tables import metadata
from aflow_verl.search.store import Store
from aflow_verl.types import Grade

PAGE = 4096


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "tree.sqlite"


def grades(workflow: int, problems: int = 40) -> dict[str, Grade]:
    return {f"p{i}": Grade(f"p{i}", i / 40, f"answer {workflow} {i} " * 10) for i in range(problems)}


def put(garden, store: Store, steps: range) -> None:
    """A step: 40 grades, a node, a record of experience, a note."""
    store.put_root("toy", garden.state("a"))
    for step in steps:
        store.put_grades(f"w{step}", "m", grades(step).values())
        overlay = store.load_tree("toy", step).overlay()
        garden.add(overlay, "abcdefghijk"[step - 1 : step + 1], {"p0": 0.5})
        store.put_delta("toy", step, "s0", overlay.delta())
        store.put_experience("toy", [ExperienceRecord("a", "b", f"edit {step}", 0.5, 0.75, 6, None, step=step)])
        store.put_meta("step", step)
        store.commit_step("toy", step, ["s0"])


def known(store: Store, steps: int) -> int:
    """How many grades are there; each as it was put."""
    count = 0
    for step in range(1, steps + 1):
        found = store.get_grades(f"w{step}", "m", grades(step))
        assert found.items() <= grades(step).items()
        count += len(found)
    return count


def names(garden, store: Store) -> str:
    return garden.names(node.id for node in store.load_tree("toy", 99))


def scribble(path: Path, text: bytes, by: bytes) -> None:
    """Writes ``by`` over the first occurrence of ``text``."""
    content = path.read_bytes()
    assert text in content
    path.write_bytes(content.replace(text, by, 1))


def spoil(path: Path, table: str) -> None:
    """Every page of a table with one page or few becomes noise."""
    raw = sqlite3.connect(path)
    [root] = raw.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    raw.close()
    with path.open("r+b") as file:
        file.seek((root - 1) * PAGE)
        file.write(random.Random(0).randbytes(PAGE))


def test_a_changed_letter_is_noticed(garden, path):
    """SQLite's own check passes it over."""
    with Store(path) as store:
        put(garden, store, range(1, 3))
    scribble(path, b"answer 1 7 ", b"answer 1 8 ")
    with Store(path) as store:
        [notice] = store.notices
        assert "tree.sqlite was damaged (a row of grades is not as it was written); restored: " in notice
        assert "the state of its runs (all of it), 79 grades, 2 records of experience; it is kept as " in notice
        assert known(store, 2) == 79
        assert names(garden, store) == "abc"
        assert store.get_meta("step") == 2
    assert b"answer 1 8 " in path.with_name("tree.sqlite.damaged-1").read_bytes()
    with Store(path) as store:
        assert store.notices == (), "sound again"


def test_the_good_copy_gives_back_what_the_file_lost(garden, path):
    with Store(path) as store:
        put(garden, store, range(1, 3))
        store.keep_good_copy()
        put(garden, store, range(3, 4))
    scribble(path, b"answer 1 7 ", b"answer 1 8 ")
    scribble(path, b"answer 3 7 ", b"answer 3 8 ")
    with Store(path) as store:
        assert known(store, 3) == 119
        assert names(garden, store) == "abcd", "where the runs stand is whole"


def test_a_broken_tree_goes_back_to_the_good_copy_and_grades_do_not(garden, path):
    with Store(path) as store:
        put(garden, store, range(1, 3))
        store.keep_good_copy()
        put(garden, store, range(3, 4))
    spoil(path, "deltas")
    with Store(path) as store:
        assert "the state of its runs (as in the copy of 2" in store.notices[0]
        assert known(store, 3) == 120
        assert names(garden, store) == "abc"
        assert store.get_meta("step") == 2, "all of one moment"
        assert len(store.load_experience("toy", 99)) == 3


def test_a_broken_tree_without_a_copy_is_refused_and_left_alone(garden, path):
    with Store(path) as store:
        put(garden, store, range(1, 3))
    spoil(path, "deltas")
    before = path.read_bytes()
    with pytest.raises(UserError, match=r"tree\.sqlite: is damaged .* no good copy to restore it from; move it away"):
        Store(path)
    assert path.read_bytes() == before
    assert {file.name for file in path.parent.iterdir()} == {"tree.sqlite", "tree.sqlite.lock"}


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.9])
def test_a_truncated_file(garden, path, share):
    with Store(path) as store:
        put(garden, store, range(1, 5))
        store.keep_good_copy()
        put(garden, store, range(5, 6))
    os.truncate(path, int(path.stat().st_size * share))
    with Store(path) as store:
        assert len(store.notices) == 1
        assert known(store, 5) >= 160
        assert names(garden, store) in ("abcde", "abcdef")


def test_a_truncated_file_without_a_copy_gives_what_can_be_read(path):
    with Store(path) as store:
        store.put_grades("w1", "m", grades(1, 400).values())
    os.truncate(path, path.stat().st_size // 2)
    with Store(path) as store:
        found = store.get_grades("w1", "m", grades(1, 400))
        assert found.items() <= grades(1, 400).items()
        assert 40 < len(found) < 400


@pytest.mark.parametrize("gone", ["file", "header", "marks"])
def test_a_file_of_which_nothing_can_be_read_comes_from_the_copy(garden, path, gone):
    with Store(path) as store:
        put(garden, store, range(1, 3))
        store.keep_good_copy()
    if gone == "file":
        path.unlink()
    else:
        with path.open("r+b") as file:
            file.seek({"header": 0, "marks": 60}[gone])
            file.write(bytes(24))
    with Store(path) as store:
        assert len(store.notices) == 1
        assert known(store, 2) == 80
        assert names(garden, store) == "abc"


def test_a_journal_whose_file_is_gone_is_not_thrown_away(path):
    path.with_name("tree.sqlite-wal").write_bytes(b"frames")
    with pytest.raises(UserError, match=r"tree\.sqlite: is damaged .*\(it is gone\)"):
        Store(path)
    assert path.with_name("tree.sqlite-wal").read_bytes() == b"frames"


@pytest.mark.parametrize("seed", range(12))
def test_noise_anywhere_never_makes_a_wrong_store(garden, path, seed):
    """Whatever 1 to 3000 bytes of noise hit: what comes back was put, and what the copy has is there."""
    rng = random.Random(seed)
    with Store(path) as store:
        put(garden, store, range(1, 4))
        store.keep_good_copy()
        put(garden, store, range(4, 6))
    noise = rng.randbytes(rng.choice([1, 30, 3000]))
    with path.open("r+b") as file:
        file.seek(rng.randrange(path.stat().st_size - len(noise)))
        file.write(noise)
    with Store(path) as store:
        assert known(store, 5) >= 120
        assert names(garden, store) in ("abcd", "abcdef")
        assert len(store.load_experience("toy", 99)) >= 3
        store.put_grades("later", "m", grades(0).values())
    with Store(path) as store:
        assert store.notices == ()
        assert len(store.get_grades("later", "m", grades(0))) == 40


def test_a_good_copy_is_not_replaced_by_a_damaged_one(garden, path):
    copy = path.with_name("tree.sqlite.good")
    with Store(path) as store:
        put(garden, store, range(1, 3))
        store.keep_good_copy()
    good = copy.read_bytes()
    with Store(path) as store:
        scribble(path, b"answer 1 7 ", b"answer 1 8 ")
        with pytest.raises(UserError, match=r"is damaged .* the same command again restores what can be restored"):
            store.keep_good_copy()
    assert copy.read_bytes() == good
    assert {file.name for file in path.parent.iterdir()} == {"tree.sqlite", "tree.sqlite.lock", "tree.sqlite.good"}


def _hold(path: Path, opened: object, done: object) -> None:
    with Store(path):
        opened.set()  # type: ignore[attr-defined]
        done.wait()  # type: ignore[attr-defined]


@pytest.fixture
def another_process(path) -> Iterator[None]:
    fork = multiprocessing.get_context("fork")
    opened, done = fork.Event(), fork.Event()
    process = fork.Process(target=_hold, args=(path, opened, done))
    process.start()
    assert opened.wait(60)
    yield
    done.set()
    process.join()


def test_a_file_that_another_process_has_open_is_not_replaced(path, another_process):
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # else the journal has the sound pages
    raw.close()
    with path.open("r+b") as file:
        file.write(bytes(100))
    with pytest.raises(UserError, match="another process has it open; stop that one and start again"):
        Store(path)
    assert not path.with_name("tree.sqlite.damaged-1").exists()


def test_a_restoration_that_is_cut_short_is_finished(garden, path, monkeypatch):
    with Store(path) as store:
        put(garden, store, range(1, 3))
    scribble(path, b"answer 1 7 ", b"answer 1 8 ")

    def cut(*_: object) -> None:
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(recovery, "finish", cut)
        with pytest.raises(StorageError):
            Store(path)  # the first call of ``finish`` is the opening's own
        patch.setattr("aflow_verl.search.storage.opening.finish", lambda path: None)
        with pytest.raises(StorageError, match="can't be restored: No space left on device"):
            Store(path)
    assert path.with_name("tree.sqlite.restored").exists()
    path.with_name("tree.sqlite-wal").write_bytes(b"of the damaged file")
    with Store(path) as store:
        assert store.notices == ()
        assert known(store, 2) == 79


def test_an_older_damaged_file_is_refused(path):
    Store(path).close()
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA user_version = 1")
    raw.close()
    spoil(path, "meta")
    with pytest.raises(UserError, match="no good copy to restore it from"):
        Store(path)


def test_copies_that_were_cut_short_are_removed(path):
    Store(path).close()
    leftovers = [path.with_name(f"tree.sqlite.{kind}.copying-7") for kind in ("good", "schema-1")]
    for leftover in leftovers:
        leftover.write_bytes(b"half")
    Store(path).close()
    assert not any(leftover.exists() for leftover in leftovers)


def test_pages_that_lead_round_in_a_circle_end(monkeypatch):
    """Such a scan would never end by itself."""
    table = metadata.tables["meta"]
    row = {"run": "r", "key": "k", "value": "1", "checksum": 0}
    monkeypatch.setattr(recovery, "sound", lambda table, row: True)
    monkeypatch.setattr(recovery, "scan", lambda connection, table, backwards: iter(lambda: row, None))
    assert recovery._readable(None, table) == ([row], False)


def test_rounds_that_end_together_may_copy_the_store_at_once(tmp_path: Path) -> None:
    with Store(tmp_path / "tree.sqlite") as store, ThreadPoolExecutor(8) as pool:
        store.put_meta("key", "value")
        for done in [pool.submit(store.keep_good_copy) for _ in range(40)]:
            done.result()
    assert not list(tmp_path.glob("*copying*"))
    assert (tmp_path / "tree.sqlite.good").stat().st_size > 0
