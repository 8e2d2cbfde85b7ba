"""Rows for the critic's replay in a store: of one run, of its steps, the newest."""

import sqlite3

import pytest

from aflow_verl.search.replay import ReplayKey, ReplayRow
from aflow_verl.search.storage.tables import SCHEMA_VERSION
from aflow_verl.search.store import Store


def rows(step: int, count: int = 2) -> dict[ReplayKey, ReplayRow]:
    return {
        ReplayKey(step, f"row0/session{k}/0", k / 4, None if k else 0.5): ReplayRow(
            (step, 7, 151_643), (k, 2), step + k / 8, step - k / 8
        )
        for k in range(count)
    }


def filled(store: Store, steps: int, newest: int = 99) -> None:
    for step in range(1, steps + 1):
        store.put_replay(rows(step), newest)


def test_rows_come_back_as_of_a_step_in_the_order_asked_for(url):
    with Store(url) as store:
        filled(store, 3)
        store.put_replay({}, 99)
        store.put_replay(rows(3), 99)  # there already
    with Store(url) as store:
        keys = store.replay_keys(2)
        assert keys == [*rows(1), *rows(2)]
        assert store.load_replay([keys[3], keys[0]]) == [rows(2)[keys[3]], rows(1)[keys[0]]]
        assert store.load_replay([ReplayKey(9, "row0/session0/0")]) == []


def test_a_resume_drops_the_rows_of_later_steps_and_of_no_other_run(url):
    with Store(url, "mine") as mine, Store(url, "theirs") as theirs:
        filled(mine, 3)
        filled(theirs, 3)
        mine.forget_after(1)
        assert mine.replay_keys(9) == [*rows(1)]
        assert len(theirs.replay_keys(9)) == 6


def test_whole_steps_are_dropped_as_long_as_enough_rows_stay(url):
    with Store(url, "mine") as mine, Store(url, "theirs") as theirs:
        filled(theirs, 4)
        filled(mine, 4, newest=3)
        assert {key.step for key in mine.replay_keys(9)} == {3, 4}, "two rows a step: one would leave only two"
        mine.put_replay(rows(5, count=3), 3)
        assert {key.step for key in mine.replay_keys(9)} == {5}
        assert len(theirs.replay_keys(9)) == 8


@pytest.fixture
def version_2(tmp_path):
    """A file of version 2: the tables of today without the one for replay."""
    path = tmp_path / "tree.sqlite"
    with Store(path) as store:
        store.put_meta("best", 1)
    raw = sqlite3.connect(path)
    raw.executescript("DROP TABLE replay; PRAGMA user_version = 2;")
    raw.close()
    return path


def test_a_file_of_version_2_gets_the_table(version_2):
    with Store(version_2) as store:
        [notice] = store.notices
        assert f"from store schema 2 to {SCHEMA_VERSION}" in notice
        assert store.get_meta("best") == 1
        assert store.replay_keys(9) == []
        filled(store, 1)
        assert store.replay_keys(9) == [*rows(1)]


def test_rows_with_one_target_are_dropped(tmp_path):
    path = tmp_path / "tree.sqlite"
    with Store(path) as store:
        store.put_meta("best", 1)
        filled(store, 1)
    raw = sqlite3.connect(path)
    raw.executescript(
        "ALTER TABLE replay DROP COLUMN v; ALTER TABLE replay RENAME COLUMN q TO target; PRAGMA user_version = 3;"
    )
    raw.close()
    with Store(path) as store:
        assert store.get_meta("best") == 1
        assert store.replay_keys(9) == []
        filled(store, 1)
        assert store.load_replay([*rows(1)]) == [*rows(1).values()]


def test_rows_of_a_damaged_file_are_restored_with_the_rest(tmp_path):
    path = tmp_path / "tree.sqlite"
    with Store(path) as store:
        filled(store, 2)
        store.put_meta("best", "a note to be changed")
        store.keep_good_copy()
    content = path.read_bytes()
    path.write_bytes(content.replace(b"a note to be", b"a vote to be"))
    with Store(path) as store:
        assert store.notices
        assert store.load_replay(store.replay_keys(9)) == [*rows(1).values(), *rows(2).values()]
