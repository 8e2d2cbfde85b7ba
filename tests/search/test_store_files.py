"""The SQLite file of a store: foreign, newer and older files, full and failing disks."""

import sqlite3
from pathlib import Path

import pytest

from aflow_verl.errors import StorageError, UserError
from aflow_verl.search.experience import ExperienceRecord
from aflow_verl.search.qvalues import QSnapshot
from aflow_verl.search.storage import database
from aflow_verl.search.storage.tables import SCHEMA_VERSION
from aflow_verl.search.store import Store
from aflow_verl.types import Grade


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "run" / "tree.sqlite"


@pytest.fixture
def pauses(monkeypatch) -> list[float]:
    """The waits between tries, without their time."""
    waited: list[float] = []
    monkeypatch.setattr(database, "sleep", waited.append)
    return waited


def pragma(store: Store, text: str) -> int:
    """On the store's one connection, as long as one thread uses it."""
    return store._database.read(lambda connection: connection.exec_driver_sql(f"PRAGMA {text}").scalar())


def test_another_programs_file_is_named_and_left_alone(path):
    path.parent.mkdir()
    text = "these are not the bytes of a database, " * 100
    path.write_text(text)
    with pytest.raises(UserError, match=r"tree\.sqlite: is damaged or no store of aflow-verl .* move it away"):
        Store(path)
    assert path.read_text() == text
    assert {file.name for file in path.parent.iterdir()} == {"tree.sqlite", "tree.sqlite.lock"}
    path.unlink()
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE songs (title TEXT)")
    other.commit()
    other.close()
    with pytest.raises(UserError, match=r"tree\.sqlite: is a database of another program"):
        Store(path)


def test_a_newer_schema_is_named(path):
    Store(path).close()
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA user_version = 99")
    raw.close()
    with pytest.raises(UserError, match=rf"tree\.sqlite: has store schema 99, .* reads schema {SCHEMA_VERSION}"):
        Store(path)


def test_a_folder_that_is_no_folder_is_infrastructure(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="can't be opened"):
        Store(tmp_path / "file" / "tree.sqlite")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match="folder: unable to open"):
        Store(tmp_path / "folder")


def test_what_is_committed_is_durable(path):
    with Store(path) as store:
        assert pragma(store, "journal_mode") == "wal"
        assert pragma(store, "synchronous") == 2, "FULL"


def test_a_full_disk_is_infrastructure_and_loses_nothing(path, pauses):
    with Store(path) as store:
        store.put_grades("kept", "m", [Grade("p0", 1.0)])
        pragma(store, f"max_page_count = {pragma(store, 'page_count')}")
        with pytest.raises(StorageError, match=r"tree\.sqlite: database or disk is full") as full:
            store.put_grades("lost", "m", [Grade(f"p{i}", 1.0, "x" * 5000) for i in range(20)])
        assert full.value.retryable
        assert pauses == list(database.PAUSES)
        assert store.get_grades("lost", "m", ["p0"]) == {}, "all of a transaction or none"
        assert store.get_grades("kept", "m", ["p0"])
        pragma(store, "max_page_count = 100000")
        store.put_grades("later", "m", [Grade("p0", 1.0)])
    with Store(path) as store:
        assert store.get_grades("kept", "m", ["p0"])
        assert store.get_grades("later", "m", ["p0"])


def test_a_disk_that_is_emptied_in_time_stops_nothing(path, monkeypatch):
    with Store(path) as store:
        pragma(store, f"max_page_count = {pragma(store, 'page_count')}")
        monkeypatch.setattr(database, "sleep", lambda seconds: pragma(store, "max_page_count = 100000"))
        store.put_grades("w", "m", [Grade(f"p{i}", 1.0, "x" * 5000) for i in range(20)])
        assert len(store.get_grades("w", "m", [f"p{i}" for i in range(20)])) == 20


def test_a_disk_that_turns_read_only_is_not_tried_again(path, pauses):
    with Store(path) as store:
        store._database.read(lambda connection: connection.exec_driver_sql("PRAGMA query_only = ON"))
        with pytest.raises(StorageError, match="readonly") as failure:
            store.put_meta("best", 1)
        assert not failure.value.retryable
        assert pauses == []


def test_whatever_else_goes_wrong_is_named(path):
    with Store(path) as store, pytest.raises(StorageError, match=r"tree\.sqlite: This result object does not return"):
        pragma(store, "query_only = OFF")  # SQLAlchemy's own complaint: there is no row


def test_a_bad_value_is_the_callers_mistake(path):
    with Store(path) as store, pytest.raises(Exception, match="NOT NULL"):
        store.put_grades("w", "m", [Grade("p0", None)])


VERSION_1 = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE grades (
    state_hash TEXT NOT NULL, fingerprint TEXT NOT NULL, problem_id TEXT NOT NULL,
    score REAL NOT NULL, answer TEXT NOT NULL, error TEXT, calls INTEGER NOT NULL, cost_usd REAL NOT NULL,
    PRIMARY KEY (state_hash, fingerprint, problem_id)
) WITHOUT ROWID;
CREATE TABLE roots (benchmark TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE deltas (
    benchmark TEXT NOT NULL, step INTEGER NOT NULL, key TEXT NOT NULL, records TEXT NOT NULL,
    position INTEGER,
    PRIMARY KEY (benchmark, step, key)
) WITHOUT ROWID;
CREATE TABLE qvalues (step INTEGER PRIMARY KEY, snapshot TEXT NOT NULL);
CREATE TABLE experience (
    id INTEGER PRIMARY KEY, benchmark TEXT NOT NULL, step INTEGER NOT NULL, record TEXT NOT NULL,
    UNIQUE (benchmark, step, record)
);
PRAGMA application_id = 0x41464C57;
PRAGMA user_version = 1;
"""
COPIED = {
    "meta": "key, value",
    "grades": "state_hash, fingerprint, problem_id, score, answer, error, calls, cost_usd",
    "roots": "benchmark, state",
    "deltas": "benchmark, step, key, records, position",
    "qvalues": "step, snapshot",
    "experience": "id, benchmark, step, record",
}


@pytest.fixture
def version_1(garden, path) -> Path:
    """A file with the statements of version 1, and what a run of two steps left in it."""
    newer = path.with_name("newer.sqlite")
    with Store(newer) as store:
        store.put_root("toy", garden.state("a"))
        overlay = store.load_tree("toy", 0).overlay()
        garden.add(overlay, "ab", {"p0": 0.5})
        store.put_delta("toy", 1, "s0", overlay.delta())
        store.commit_step("toy", 1, ["s0"])
        store.put_delta("toy", 2, "s0", overlay.delta())
        store.put_q(1, QSnapshot(1, {garden.id("a"): 0.25}))
        store.put_grades("w", "m", [Grade("p0", 1.0, "42", "boom", 3, 0.25), Grade("p1", 0.0)])
        store.put_experience("toy", [ExperienceRecord("a", "b", "vote", 0.5, 0.75, 6, (-0.2, 0.7), step=1)])
        store.put_meta("best", {"node": "x"})
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA journal_mode = WAL")
    raw.executescript(VERSION_1)
    raw.execute("ATTACH ? AS newer", (str(newer),))
    for table, columns in COPIED.items():
        raw.execute(f"INSERT INTO {table} SELECT {columns} FROM newer.{table}")
    raw.commit()
    raw.close()
    return path


def check_migrated(garden, store: Store) -> None:
    assert garden.names(node.id for node in store.load_tree("toy", 9)) == "ab"
    assert store.get_q(9) == QSnapshot(1, {garden.id("a"): 0.25})
    assert store.get_grades("w", "m", ["p0", "p1"]) == {
        "p0": Grade("p0", 1.0, "42", "boom", 3, 0.25),
        "p1": Grade("p1", 0.0),
    }
    assert [record.modification for record in store.load_experience("toy", 1)] == ["vote"]
    assert store.get_meta("best") == {"node": "x"}


def test_an_older_file_is_migrated_and_kept(garden, version_1):
    before = version_1.read_bytes()
    with Store(version_1, "mine") as store:
        [notice] = store.notices
        assert notice.endswith("migrated from store schema 1 to 4; tree.sqlite.schema-1 is as it was")
        check_migrated(garden, store)
        store.commit_step("toy", 2, ["s0"])
        store.put_experience("toy", list(store.load_experience("toy", 1)))
        assert len(store.load_experience("toy", 1)) == 1, "known by its digest"
    older = sqlite3.connect(version_1.with_name("tree.sqlite.schema-1"))
    assert older.execute("PRAGMA user_version").fetchone() == (1,)
    assert older.execute("SELECT count(*) FROM grades").fetchone() == (2,)
    older.close()
    assert len(before) <= version_1.stat().st_size
    with Store(version_1, "mine") as store:
        assert store.notices == ()
        check_migrated(garden, store)
    with Store(version_1, "other") as store, pytest.raises(KeyError):
        store.load_tree("toy", 9)


def test_a_migrated_file_has_the_tables_of_a_new_one(version_1, tmp_path):
    Store(version_1).close()
    Store(tmp_path / "new.sqlite").close()
    schemas = []
    for file in (version_1, tmp_path / "new.sqlite"):
        raw = sqlite3.connect(file)
        schemas.append(sorted(raw.execute("SELECT type, name, tbl_name, sql FROM sqlite_master")))
        raw.close()
    assert schemas[0] == schemas[1]


def test_a_migration_that_is_cut_short_leaves_the_older_file(garden, version_1, monkeypatch):
    def cut(*_: object) -> None:
        raise StorageError("no space", retryable=False)

    with monkeypatch.context() as patch:
        patch.setattr("aflow_verl.search.storage.migrations._set_version", cut)
        with pytest.raises(StorageError, match="no space"):
            Store(version_1)
    raw = sqlite3.connect(version_1)
    assert raw.execute("PRAGMA user_version").fetchone() == (1,)
    assert raw.execute("SELECT count(*) FROM grades").fetchone() == (2,)
    raw.close()
    with Store(version_1) as store:
        check_migrated(garden, store)
