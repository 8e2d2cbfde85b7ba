"""What every store keeps to, in SQLite and in PostgreSQL."""

import multiprocessing
import threading
import time

import pytest

from aflow_verl.errors import StorageError, UserError
from aflow_verl.search.experience import ExperienceRecord
from aflow_verl.search.qvalues import QSnapshot
from aflow_verl.search.store import Store
from aflow_verl.types import Grade

FORK = multiprocessing.get_context("fork")


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
        store.put_q(step, QSnapshot(step, {garden.id("a"): step / 10}))
        store.put_experience("toy", [experience(step)])
    return trees


def contents(tree) -> list:
    return [(node, tree.children(node.id), tree.tried(node.id)) for node in tree]


def test_grades_are_kept_per_workflow_and_executor(url):
    grade = Grade("p0", 0.5, "42", None, 3, 0.01)
    with Store(url) as store:
        store.put_grades("w", "model@1", [grade, Grade("p1", 0.0, error="boom")])
        store.put_grades("w", "model@1", [Grade("p0", 1.0)])
    with Store(url) as store:
        assert store.get_grades("w", "model@1", ["p1", "p0", "p9"]) == {
            "p1": Grade("p1", 0.0, error="boom"),
            "p0": grade,
        }
        assert store.get_grades("w", "model@2", ["p0"]) == {}
        assert store.get_grades("v", "model@1", ["p0"]) == {}


def test_a_tree_comes_back_as_of_any_step(garden, url):
    with Store(url) as store:
        trees = written(garden, store, 3)
    with Store(url) as store:
        for step, tree in enumerate(trees):
            assert contents(store.load_tree("toy", step)) == contents(tree)


def test_a_step_that_was_cut_short_does_not_count(garden, url):
    with Store(url) as store:
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


def test_a_committed_delta_is_not_replaced(garden, url):
    with Store(url) as store:
        trees = written(garden, store, 1)
        first, second = trees[1].overlay(), trees[1].overlay()
        garden.add(first, "ay")
        garden.add(second, "az")
        with pytest.raises(ValueError, match=r"another delta 's9' of toy at step 1 is committed already"):
            store.put_delta("toy", 1, "s9", second.delta())
        assert contents(store.load_tree("toy", 9)) == contents(trees[1])
        store.put_delta("toy", 2, "s9", first.delta())
        store.put_delta("toy", 2, "s9", second.delta())
        store.commit_step("toy", 2, ["s9"])
        assert garden.names(n.id for n in store.load_tree("toy", 9)) == "abz", "until then the last one counts"


def test_writes_together_are_one_transaction_and_may_be_made_twice(garden, url):
    with Store(url) as store:
        trees = written(garden, store, 1)
        overlay = trees[1].overlay()
        garden.add(overlay, "az")

        def step_2() -> None:
            with store.together():
                store.put_delta("toy", 2, "s0", overlay.delta())
                store.commit_step("toy", 2, ["s0"])
                store.put_meta("done", 2)
                assert store.get_meta("done") is None, "not before the end"
                other = threading.Thread(target=lambda: store.put_meta("beside", "kept"))
                other.start()
                other.join()

        def cut_short() -> None:
            with store.together():
                store.put_meta("done", 2)
                raise RuntimeError

        def half_wrong() -> None:
            with store.together():
                store.put_meta("done", 2)
                store.commit_step("toy", 2, ["s9"])

        with pytest.raises(RuntimeError):
            cut_short()
        with pytest.raises(KeyError, match="s9"):
            half_wrong()
        assert store.get_meta("done") is None, "all or none"
        step_2()
        assert (store.get_meta("done"), store.get_meta("beside")) == (2, "kept")
        assert garden.id("z") in store.load_tree("toy", 2)
        store.put_meta("done", None)
        step_2()  # as after a commit whose success nobody heard of
        assert store.get_meta("done") == 2
        with store.together():
            pass


def test_forget_after_goes_back_to_the_checkpoint_and_keeps_grades(garden, url):
    with Store(url) as store:
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


def test_q_and_experience_as_of_a_step(garden, url):
    with Store(url) as store:
        written(garden, store, 3)
        assert store.get_q(0) is None
        assert store.get_q(2) == QSnapshot(2, {garden.id("a"): 0.2})
        store.put_experience("toy", [experience(3), experience(3, "other")])
        assert [(r.step, r.modification) for r in store.load_experience("toy", 3)] == [
            (1, "vote"),
            (2, "vote"),
            (3, "vote"),
            (3, "other"),
        ]
        assert len(store.load_experience("toy", 2)) == 2
        assert len(store.load_experience("other", 3)) == 0


def test_benchmarks_do_not_mix(garden, url):
    with Store(url) as store:
        written(garden, store, 1)
        store.put_root("second", garden.state("q"))
        assert len(store.load_tree("second", 9)) == 1
        with pytest.raises(KeyError):
            store.load_tree("third", 9)
        with pytest.raises(UserError, match="another seed workflow"):
            store.put_root("toy", garden.state("q"))
        store.put_root("toy", garden.state("a"))


def test_meta(url):
    with Store(url) as store:
        assert store.get_meta("best", 7) == 7
        store.put_meta("best", {"node": "x", "score": 0.5})
        store.put_meta("best", {"node": "y", "score": 0.6})
        assert store.get_meta("best") == {"node": "y", "score": 0.6}


def test_threads_share_one_store(url):
    with Store(url) as store:

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


def test_texts_that_no_database_takes_come_back_as_they_were(url):
    odd = [Grade(f"p{text}", 0.5, text, text) for text in ("nul \x00", "half a pair \ud800", "\x01escaped", "\\ ü 🙂")]
    with Store(url) as store:
        store.put_grades("w", "m", odd)
    with Store(url) as store:
        assert list(store.get_grades("w", "m", [grade.problem_id for grade in odd]).values()) == odd


def test_many_grades_at_once(url):
    grades = [Grade(f"p{i}", i / 2000) for i in range(1201)]
    with Store(url) as store:
        store.put_grades("w", "m", grades)
        store.put_grades("w", "m", [])
        found = store.get_grades("w", "m", [f"p{i}" for i in reversed(range(1300))])
    assert list(found.values()) == grades[::-1]


def test_runs_of_one_store_share_grades_and_experience_and_nothing_else(garden, url):
    with Store(url, "one") as one, Store(url, "two") as two:
        trees = written(garden, one, 2)
        one.put_grades("w", "m", [Grade("p0", 1.0)])
        one.put_meta("best", 1)
        two.put_root("toy", garden.state("q"))
        assert len(two.load_tree("toy", 9)) == 1
        assert two.get_q(9) is None
        assert two.get_meta("best") is None
        assert two.get_grades("w", "m", ["p0"])
        two.put_experience("toy", [experience(1), experience(1, "own"), experience(7, "later")])
        assert [r.modification for r in two.load_experience("toy", 1)] == ["vote", "vote", "own"], "others' first, once"
        assert [r.modification for r in one.load_experience("toy", 0)] == ["vote", "own", "later"]
        two.forget_after(0)
        assert contents(one.load_tree("toy", 9)) == contents(trees[2]), "a run forgets for itself alone"
        assert [r.step for r in one.load_experience("toy", 9)] == [1, 2]
        assert one.get_q(9) is not None


def test_a_closed_store_says_so(url):
    store = Store(url)
    store.close()
    for use in (lambda: store.get_meta("best"), lambda: store.put_meta("best", 1)):
        with pytest.raises(StorageError, match="is closed"):
            use()


def test_a_server_that_drops_its_connections_stops_nothing(postgresql):
    import psycopg

    with Store(postgresql, "dropped") as store:
        store.put_meta("before", 1)
        with psycopg.connect(postgresql, autocommit=True) as admin:
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        store.put_meta("after", 2)
        assert (store.get_meta("before"), store.get_meta("after")) == (1, 2)
        store.keep_good_copy()  # the server's own affair


def test_a_server_without_its_tables_is_infrastructure(postgresql):
    import psycopg

    with Store(postgresql, "gone") as store:
        with psycopg.connect(postgresql, autocommit=True) as admin:
            admin.execute("DROP SCHEMA aflow_verl CASCADE")
        with pytest.raises(StorageError, match="does not exist") as failure:
            store.get_meta("before")
        assert not failure.value.retryable


def test_a_newer_server_is_named(postgresql):
    import psycopg

    Store(postgresql).close()
    with psycopg.connect(postgresql, autocommit=True) as admin:
        admin.execute("UPDATE aflow_verl.schema_version SET version = 99")
    try:
        with pytest.raises(UserError, match="has store schema 99"):
            Store(postgresql)
    finally:
        with psycopg.connect(postgresql, autocommit=True) as admin:
            admin.execute("DROP SCHEMA aflow_verl CASCADE")


def _count(url: str, run: str) -> None:
    with Store(url, run) as store:
        for i in range(30):
            store.put_grades("shared", "m", [Grade(f"p{i}", 1.0), Grade(f"q{i}", 1.0)])
            store.put_grades(run, "m", [Grade(f"p{i}", 1.0)])
            store.put_meta("count", i)


def test_processes_write_at_once_from_the_first_moment_on(url):
    """They find no store yet. Whoever reads meanwhile sees both grades of a put, or none."""
    runs = ("one", "two", "three")
    writers = [FORK.Process(target=_count, args=(url, run)) for run in runs]  # forked: an import takes seconds
    for writer in writers:
        writer.start()
    problems = [f"{letter}{i}" for i in range(30) for letter in "pq"]
    with Store(url) as store:
        while any(writer.is_alive() for writer in writers):
            assert len(store.get_grades("shared", "m", problems)) % 2 == 0
            time.sleep(0.01)
        assert [writer.exitcode for writer in writers] == [0, 0, 0]
        assert len(store.get_grades("shared", "m", problems)) == 60
        for run in runs:
            assert len(store.get_grades(run, "m", problems)) == 30
    for run in runs:
        with Store(url, run) as store:
            assert store.get_meta("count") == 29


def test_a_step_is_committed_before_the_eyes_of_others_all_at_once(garden, url):
    with Store(url, "run") as writer, Store(url, "run") as reader:
        writer.put_root("toy", garden.state("a"))
        tree = writer.load_tree("toy", 0)
        overlays = [tree.overlay() for _ in range(20)]
        for i, overlay in enumerate(overlays):
            garden.add(overlay, "a" + "bcdefghijklmnopqrstu"[i])
            writer.put_delta("toy", 1, f"s{i}", overlay.delta())
        sizes = {len(reader.load_tree("toy", 1))}
        committing = threading.Thread(target=writer.commit_step, args=("toy", 1, [f"s{i}" for i in range(20)]))
        committing.start()
        while committing.is_alive():
            sizes.add(len(reader.load_tree("toy", 1)))
        committing.join()
        assert len(reader.load_tree("toy", 1)) == 21
    assert sizes <= {1, 21}
