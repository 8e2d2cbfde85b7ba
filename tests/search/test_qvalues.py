import json
import math
import pickle

import pytest

from aflow_verl.search.calibration import UNCALIBRATED, Calibration, calibrate
from aflow_verl.search.qvalues import NO_ROW, QSnapshot, QTable, QValue, ScoreGroup, calibrated


def test_lookup_takes_the_nearest_ancestor_and_says_so():
    snapshot = QSnapshot(4, {"root": QValue(0.3, None, 4), "mid": QValue(0.1, 0.2, 4)})
    assert snapshot.lookup("mid", ["root"]) == (QValue(0.1, 0.2, 4), False)
    assert snapshot.lookup("new", ["mid", "root"]) == (QValue(0.1, None, 4), True)
    assert snapshot.lookup("newer", ["new", "mid", "root"]) == (QValue(0.1, None, 4), True)
    assert snapshot.lookup("stranger") == (None, False)


def test_stale_nodes_are_those_without_a_value_of_these_weights():
    snapshot = QSnapshot(4, {"old": QValue(0.0, None, 3), "fresh": QValue(0.0, None, 4)})
    assert snapshot.stale(["new", "old", "fresh"], 4) == ("new", "old")


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_values_are_finite(bad):
    with pytest.raises(ValueError, match="finite"):
        QValue(bad, None, 1)
    with pytest.raises(ValueError, match="finite"):
        QValue(0.0, bad, 1)


def test_round_trips():
    snapshot = QSnapshot(
        2, {"a": QValue(0.1, None, 2), "b": QValue(-0.2, 0.3, 1)}, 0.5, 0.6, Calibration(9, 0.1, 0.2), 0.9
    )
    assert QSnapshot.from_json(json.loads(json.dumps(snapshot.to_json()))) == snapshot
    assert pickle.loads(pickle.dumps(snapshot)) == snapshot
    group = ScoreGroup((1, 2), "a", (("b", (3, 0)),))
    assert pickle.loads(pickle.dumps(group)) == group


def test_calibrate_by_hand():
    # mean returns .1, .2, .4, .3 against V .0, .1, .2, .3: ranks 1 2 4 3 against 1 2 3 4, so 1 - 6 * 2 / (4 * 15) = .8
    v = {"a": 0.0, "b": 0.1, "c": 0.2, "d": 0.3, "unedited": 9.0}
    returns = {"a": [0.1], "b": [0.1, 0.3], "c": [0.4], "d": [0.3], "unedited": [], "unknown": [5.0]}
    correlation, confidence, calibration = calibrate(v, returns, min_count=4)
    assert correlation == pytest.approx(0.8)
    assert confidence == pytest.approx(0.8)
    assert calibration.count == 4
    assert calibration.bias == pytest.approx(-0.1)  # (-.1 -.1 -.2 + 0) / 4
    assert calibration.mean_abs_error == pytest.approx(0.1)


def test_ties_share_their_mean_rank():
    # V ranks 1.5 1.5 3, returns 1 2 3: covariance 1.5, variances 1.5 and 2, so 1.5 / sqrt(3)
    correlation, _, _ = calibrate({"a": 0.0, "b": 0.0, "c": 1.0}, {"a": [0.1], "b": [0.2], "c": [0.3]}, 1)
    assert correlation == pytest.approx(1.5 / 3**0.5)


def test_confidence_is_zero_without_ground_for_it():
    rising = {"a": [0.1], "b": [0.2], "c": [0.3]}
    assert calibrate({"a": 0.1, "b": 0.2, "c": 0.3}, rising, min_count=4)[:2] == (pytest.approx(1.0), 0.0)
    assert calibrate({"a": 0.3, "b": 0.2, "c": 0.1}, rising, min_count=1)[:2] == (pytest.approx(-1.0), 0.0)
    assert calibrate({"a": 0.5, "b": 0.5, "c": 0.5}, rising, min_count=1)[:2] == (None, 0.0)
    assert calibrate({"a": 0.1, "b": 0.2}, {"a": [0.5], "b": [0.5]}, min_count=1)[:2] == (None, 0.0)
    assert calibrate({"a": 0.1}, rising, min_count=1)[:2] == (None, 0.0)
    assert calibrate({}, rising, min_count=1) == (None, 0.0, UNCALIBRATED)


def test_an_extension_adds_what_is_lacking_and_changes_nothing():
    snapshot = QSnapshot(4, {"a": QValue(0.1, None, 4), "b": QValue(0.2, 0.3, 4)}, 0.5, 0.6, Calibration(9, 0.1, 0.2))
    longer = snapshot.extended({"b": QValue(9.0, 9.0, 4), "c": QValue(0.4, 0.7, 4)})
    assert dict(longer.values) == {"a": QValue(0.1, None, 4), "b": QValue(0.2, 0.3, 4), "c": QValue(0.4, 0.7, 4)}
    assert dict(snapshot.values) == {"a": QValue(0.1, None, 4), "b": QValue(0.2, 0.3, 4)}
    assert (longer.weights_step, longer.confidence, longer.calibration) == (4, 0.5, Calibration(9, 0.1, 0.2))
    assert longer.without_value(["c", "d", "a", "e"]) == ("d", "e")
    assert longer.lookup("new", ["c", "a"]) == (QValue(0.4, None, 4), True)
    assert snapshot.extended({"a": QValue(1.0, None, 4)}).table is snapshot.table
    with pytest.raises(KeyError):
        longer.values["d"]
    for copied in (QSnapshot.from_json(json.loads(json.dumps(longer.to_json()))), pickle.loads(pickle.dumps(longer))):
        assert copied == longer
        assert copied.extended({"d": QValue(0.0, None, 4)}).table.rows(["d", "c", "x", "a"]).tolist() == [3, 2, -1, 0]


def test_an_extension_knows_what_it_continues():
    base = QSnapshot(4, {"a": QValue(0.1, None, 4)}).table
    one = base.extended({"b": QValue(0.2, None, 4)})
    two = one.extended({"c": QValue(0.3, None, 4)})
    assert all(longer.continues(shorter) for longer, shorter in [(one, base), (two, base), (two, one), (two, two)])
    assert not base.continues(one)
    assert not two.continues(base.extended({"b": QValue(0.9, None, 4)})), "another value of the same node"
    assert not two.continues(base.extended({"c": QValue(0.3, None, 4)})), "another order"
    assert not QSnapshot(4, {"a": QValue(0.1, None, 4)}).table.extended({"b": QValue(0.2, None, 4)}).continues(base)


def test_calibrated_is_what_the_values_say_of_the_returns():
    values = {name: QValue(v, None, 6) for name, v in zip("abcd", (0.0, 0.1, 0.2, 0.3), strict=True)}
    snapshot = calibrated(values, {"a": [0.1], "b": [0.2], "c": [0.4], "d": [0.3]}, weights_step=6, gamma=0.9)
    assert (snapshot.weights_step, snapshot.gamma, dict(snapshot.values)) == (6, 0.9, values)
    assert snapshot.rank_correlation == snapshot.confidence == pytest.approx(0.8)
    assert snapshot.calibration.count == 4


@pytest.mark.parametrize(
    ("asked", "rows"),
    [("ab", [0, 1]), ("ba", [1, 0]), ("a", [0]), ("abc", [0, 1, NO_ROW]), ("cb", [NO_ROW, 1]), ("", [])],
)
def test_rows_are_found_in_any_order(asked, rows):
    table = QTable("ab", [0.1, 0.2], [0.3, math.nan], [1, 1])
    assert table.rows(list(asked)).tolist() == rows == [table.row(node_id) for node_id in asked]
