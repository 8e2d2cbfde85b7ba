"""Promises of the critic: lookup, what is out of date, storage."""

import json
import pickle

import pytest

from aflow_verl.search.qvalues import QSnapshot, ScoreGroup


def test_lookup_takes_the_nearest_ancestor_and_says_so():
    snapshot = QSnapshot(4, {"root": 0.3, "mid": 0.1})
    assert snapshot.lookup("mid", ["root"]) == (0.1, False)
    assert snapshot.lookup("new", ["mid", "root"]) == (0.1, True)
    assert snapshot.lookup("newer", ["new", "mid", "root"]) == (0.1, True)
    assert snapshot.lookup("stranger") == (None, False)


def test_a_promise_of_zero_is_a_promise():
    assert QSnapshot(4, {"a": 0.0}).lookup("b", ["a"]) == (0.0, True)


def test_what_these_weights_have_not_scored_is_outdated():
    snapshot = QSnapshot(4, {"old": 0.0, "fresh": 0.0}, stale={"old": 3})
    assert snapshot.outdated(["new", "old", "fresh"], 4) == ("new", "old")
    assert snapshot.outdated(["new", "old", "fresh"], 3) == ("new",)
    assert snapshot.outdated(["fresh"], 5) == ("fresh",)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_promises_are_finite(bad):
    with pytest.raises(ValueError, match="finite"):
        QSnapshot(1, {"a": bad})


def test_an_extension_adds_what_is_lacking_and_changes_nothing():
    snapshot = QSnapshot(4, {"a": 0.1, "b": 0.2}, 0.5, 0.6, {"a": 2})
    longer = snapshot.extended({"b": 9.0, "c": 0.4})
    assert longer.values == {"a": 0.1, "b": 0.2, "c": 0.4}
    assert snapshot.values == {"a": 0.1, "b": 0.2}
    assert (longer.weights_step, longer.node_confidence, longer.edit_confidence, longer.stale) == (
        4,
        0.5,
        0.6,
        {"a": 2},
    )


def test_round_trips():
    snapshot = QSnapshot(2, {"a": 0.1, "b": -0.2}, 0.5, 0.25, {"b": 1})
    assert QSnapshot.from_json(json.loads(json.dumps(snapshot.to_json(), allow_nan=False))) == snapshot
    assert pickle.loads(pickle.dumps(snapshot)) == snapshot
    group = ScoreGroup((1, 2), "a", (("b", (3, 0)),))
    assert pickle.loads(pickle.dumps(group)) == group


def test_gains_of_an_earlier_version_are_dropped_and_scored_anew():
    """Values were [v, q, weights step] there, in another unit; the node ids are known, so the export asks again."""
    written = {
        "weights_step": 7,
        "values": {"a": [0.1, None, 7]},
        "rank_correlation": 0.9,
        "confidence": 0.9,
        "calibration": [12, 0.0, 0.1],
        "gamma": 0.95,
    }
    snapshot = QSnapshot.from_json(written)
    assert snapshot == QSnapshot(7, {})
    assert snapshot.outdated(["a"], 7) == ("a",)
