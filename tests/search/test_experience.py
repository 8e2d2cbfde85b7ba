import json
import pickle

import pytest

from aflow_verl.search.experience import ExperiencePool, ExperienceRecord


def record(parent: str, modification: str, before: float, after: float | None, **more) -> ExperienceRecord:
    child = None if after is None else f"{parent}+{modification}"
    interval = None if after is None else (after - before - 0.5, after - before + 0.5)
    return ExperienceRecord(parent, child, modification, before, after, 0 if after is None else 6, interval, **more)


@pytest.fixture
def pool() -> ExperiencePool:
    return ExperiencePool(
        [
            record("a", "vote", 0.5, 0.75, operators=("Custom", "ScEnsemble"), surprise=0.0),
            record("a", "shout", 0.5, 0.25, operators=("Custom",), surprise=0.9),
            record("a", "again", 0.5, 0.5, operators=("Custom",)),
            record("a", "nonsense", 0.5, None),
            record("a", "code", 0.5, 1.0, operators=("Programmer",), surprise=0.1),
            record("b", "vote", 0.75, 0.9, operators=("ScEnsemble",), surprise=0.1),
        ]
    )


def test_gains(pool):
    assert [record.gain for record in pool] == [0.25, -0.25, 0.0, None, 0.5, pytest.approx(0.15)]


def test_edits_of_a_workflow_oldest_first(pool):
    assert [r.modification for r in pool.edits_of("a")] == ["vote", "shout", "again", "nonsense", "code"]
    assert pool.edits_of("elsewhere") == ()
    longer = pool.extended([record("b", "code", 0.5, 0.4)])
    assert [r.modification for r in longer.edits_of("b")] == ["vote", "code"]
    assert len(pool) == 6


def test_round_trips(pool):
    for kept in pool:
        assert ExperienceRecord.from_json(json.loads(json.dumps(kept.to_json()))) == kept
    assert list(pickle.loads(pickle.dumps(pool))) == list(pool)
