import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from aflow_verl.errors import StorageError, UserError
from aflow_verl.search.experience import ExperienceRecord
from aflow_verl.search.qvalues import QSnapshot, QValue
from aflow_verl.search.store import Store
from aflow_verl.types import Grade


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "run" / "tree.sqlite"


def experience(step: int, modification: str = "vote") -> ExperienceRecord:
    return ExperienceRecord("a", "b", modification, 0.5, 0.75, 6, (-0.2, 0.7), ("Custom",), step=step)


def written(garden, store: Store, steps: int) -> list:
    """A chain a-b-c-..., one node a step; returns the live tree after each step."""
    store.put_root("toy", garden.state("a"))
    tree = store.load_tree("toy", 0)
    trees = [tree]
    for step in range(1, steps + 1):
        first, second = tree.overlay(), tree.overlay()
        garden.add(first, "abcdef"[step - 1 : step + 1], {"p0": step / 10})
        first.visit(garden.id("a"))
        second.mark_tried(garden.id("a"), f"bad{step}")
        store.put_delta("toy", step, "s10", second.delta())
        store.put_delta("toy", step, "s9", first.delta())
        store.commit_step("toy", step, ["s9", "s10"])
        tree = tree.merged([first.delta(), second.delta()], step)
        trees.append(tree)
        store.put_q(step, QSnapshot(step, {garden.id("a"): QValue(step / 10, None, step)}))
        store.put_experience("toy", [experience(step)])
    return trees


def contents(tree) -> list:
    return [(node, tree.children(node.id), tree.tried(node.id)) for node in tree]


def test_grades_are_kept_per_workflow_and_executor(path):
    grade = Grade("p0", 0.5, "42", None, 3, 0.01)
    with Store(path) as store:
        store.put_grades("w", "model@1", [grade, Grade("p1", 0.0, error="boom")])
        store.put_grades("w", "model@1", [Grade("p0", 1.0)])
    with Store(path) as store:
        assert store.get_grades("w", "model@1", ["p1", "p0", "p9"]) == {
            "p1": Grade("p1", 0.0, error="boom"),
            "p0": grade,
        }
        assert store.get_grades("w", "model@2", ["p0"]) == {}
        assert store.get_grades("v", "model@1", ["p0"]) == {}


def test_a_tree_comes_back_as_of_any_step(garden, path):
    with Store(path) as store:
        trees = written(garden, store, 3)
    with Store(path) as store:
        for step, tree in enumerate(trees):
            assert contents(store.load_tree("toy", step)) == contents(tree)


def test_a_step_that_was_cut_short_does_not_count(garden, path):
    with Store(path) as store:
        trees = written(garden, store, 1)
        overlay = trees[1].overlay()
        garden.add(overlay, "az")
        store.put_delta("toy", 2, "s0", overlay.delta())
        assert contents(store.load_tree("toy", 9)) == contents(trees[1])
        with pytest.raises(KeyError, match="s1"):
            store.commit_step("toy", 2, ["s0", "s1"])
        assert contents(store.load_tree("toy", 9)) == contents(trees[1]), "nothing of a failed commit stays"
        store.commit_step("toy", 2, ["s0"])
        assert garden.id("z") in store.load_tree("toy", 9)


def test_a_committed_delta_is_not_replaced(garden, path):
    with Store(path) as store:
        trees = written(garden, store, 1)
        first, second = trees[1].overlay(), trees[1].overlay()
        garden.add(first, "ay")
        garden.add(second, "az")
        with pytest.raises(ValueError, match=r"tree\.sqlite: delta 's9' of toy at step 1 is committed already"):
            store.put_delta("toy", 1, "s9", second.delta())
        assert contents(store.load_tree("toy", 9)) == contents(trees[1])
        store.put_delta("toy", 2, "s9", first.delta())
        store.put_delta("toy", 2, "s9", second.delta())
        store.commit_step("toy", 2, ["s9"])
        assert garden.names(n.id for n in store.load_tree("toy", 9)) == "abz", "until then the last one counts"


def test_forget_after_goes_back_to_the_checkpoint_and_keeps_grades(garden, path):
    with Store(path) as store:
        trees = written(garden, store, 3)
        store.put_grades("w", "m", [Grade("p0", 1.0)])
        store.forget_after(1)
        assert contents(store.load_tree("toy", 99)) == contents(trees[1])
        assert store.get_q(99).weights_step == 1
        assert [r.step for r in store.load_experience("toy", 99)] == [1]
        assert store.get_grades("w", "m", ["p0"]) == {"p0": Grade("p0", 1.0)}
        overlay = trees[1].overlay()
        garden.add(overlay, "ay")
        store.put_delta("toy", 2, "s9", overlay.delta())
        store.commit_step("toy", 2, ["s9"])
        assert garden.names(n.id for n in store.load_tree("toy", 99)) == "aby"


def test_q_and_experience_as_of_a_step(garden, path):
    with Store(path) as store:
        written(garden, store, 3)
        assert store.get_q(0) is None
        assert store.get_q(2) == QSnapshot(2, {garden.id("a"): QValue(0.2, None, 2)})
        store.put_experience("toy", [experience(3), experience(3, "other")])
        assert [(r.step, r.modification) for r in store.load_experience("toy", 3)] == [
            (1, "vote"),
            (2, "vote"),
            (3, "vote"),
            (3, "other"),
        ]
        assert len(store.load_experience("toy", 2)) == 2
        assert len(store.load_experience("other", 3)) == 0


def test_benchmarks_do_not_mix(garden, path):
    with Store(path) as store:
        written(garden, store, 1)
        store.put_root("second", garden.state("q"))
        assert len(store.load_tree("second", 9)) == 1
        with pytest.raises(KeyError):
            store.load_tree("third", 9)
        with pytest.raises(UserError, match="another seed workflow"):
            store.put_root("toy", garden.state("q"))
        store.put_root("toy", garden.state("a"))


def test_meta(path):
    with Store(path) as store:
        assert store.get_meta("best", 7) == 7
        store.put_meta("best", {"node": "x", "score": 0.5})
        store.put_meta("best", {"node": "y", "score": 0.6})
        assert store.get_meta("best") == {"node": "y", "score": 0.6}


def test_threads_share_one_store(path):
    with Store(path) as store:

        def write(worker: int) -> None:
            for i in range(10):
                store.put_grades(f"w{worker}", "m", [Grade(f"p{i}", 1.0)])

        threads = [threading.Thread(target=write, args=(worker,)) for worker in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for worker in range(4):
            assert len(store.get_grades(f"w{worker}", "m", [f"p{i}" for i in range(10)])) == 10


def test_a_file_of_something_else_is_named(path):
    path.parent.mkdir()
    path.write_text("these are not the bytes of a database, " * 100)
    with pytest.raises(UserError, match=r"tree\.sqlite: is damaged or no store"):
        Store(path)
    path.unlink()
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE songs (title TEXT)")
    other.commit()
    other.close()
    with pytest.raises(UserError, match=r"tree\.sqlite: is a database of another program"):
        Store(path)


def test_another_schema_is_named(path):
    Store(path).close()
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA user_version = 99")
    raw.close()
    with pytest.raises(UserError, match=r"tree\.sqlite: has store schema 99, .* reads schema 1"):
        Store(path)


def test_a_truncated_file_is_named(path):
    with Store(path) as store:
        store.put_grades("w", "m", [Grade(f"p{i}", 1.0, "x" * 500) for i in range(200)])
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(UserError, match=r"tree\.sqlite: is damaged"):
        Store(path)


def test_a_full_disk_is_infrastructure_and_loses_nothing(path):
    with Store(path) as store:
        store.put_grades("kept", "m", [Grade("p0", 1.0)])
        pages = store._database._connection.execute("PRAGMA page_count").fetchone()[0]
        store._database._connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StorageError, match=r"tree\.sqlite: database or disk is full"):
            store.put_grades("lost", "m", [Grade(f"p{i}", 1.0, "x" * 5000) for i in range(20)])
        assert store.get_grades("lost", "m", ["p0"]) == {}, "all of a transaction or none"
        store._database._connection.execute("PRAGMA max_page_count = 100000")
        store.put_grades("later", "m", [Grade("p0", 1.0)])
    with Store(path) as store:
        assert store.get_grades("kept", "m", ["p0"])
        assert store.get_grades("later", "m", ["p0"])


def test_a_folder_that_is_no_folder_is_infrastructure(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="can't be opened"):
        Store(tmp_path / "file" / "tree.sqlite")


WRITER = """
import sys
from aflow_verl.search.store import Store
from aflow_verl.types import Grade
store = Store(sys.argv[1])
i = int(sys.argv[2])
while True:
    store.put_grades(f"w{i}", "m", [Grade("p0", 1.0), Grade("p1", 0.5)])
    store.put_meta("last", i)
    print(i, flush=True)
    i += 1
"""


@pytest.mark.parametrize("writes", [1, 7, 30])
def test_every_acknowledged_record_survives_kill_9(path, writes):
    acknowledged: list[int] = []
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), "0"], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        acknowledged.append(int(line))
        if len(acknowledged) == writes:
            os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert process.returncode == -signal.SIGKILL
    with Store(path) as store:
        assert store.get_meta("last") >= acknowledged[-1]
        for i in acknowledged:
            assert set(store.get_grades(f"w{i}", "m", ["p0", "p1"])) == {"p0", "p1"}
        beyond = store.get_grades(f"w{acknowledged[-1] + 1}", "m", ["p0", "p1"])
        assert len(beyond) in (0, 2), "a transaction is there whole or not at all"
