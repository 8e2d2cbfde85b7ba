"""The critic is judged by what it said before it saw a step's edits."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from aflow_verl.env.predictions import Predictions
from aflow_verl.search.confidence import WINDOW, Prediction
from aflow_verl.search.returns import upper_value
from aflow_verl.search.store import Store
from aflow_verl.search.targets import RowTarget

CENTRE = {"toy": 0.9}


def _episode(row: int, nodes: str, shown: tuple[float, ...]) -> Any:
    return SimpleNamespace(benchmark="toy", row=row, edited=tuple(nodes), shown=shown)


def _target(q: float, *, invalid: bool = False, neutral: bool = False) -> RowTarget:
    return RowTarget(step_return=0.0, q=q, v=0.0, invalid=invalid, neutral=neutral)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "tree.sqlite")


def _begun(store: Store, step: int = 0) -> Predictions:
    predictions = Predictions(store)
    predictions.resume(step)
    return predictions


def test_what_was_said_meets_what_was_reached_in_score_units(store: Store) -> None:
    predictions = _begun(store)
    episodes = {("u", 0): _episode(3, "ab", (0.9, 0.92)), ("u", 1): _episode(3, "aa", (0.9, 0.9))}
    targets = {
        ("u", 0, 0): _target(0.02),
        ("u", 0, 1): _target(0.05),
        ("u", 1, 0): _target(0.04),
        ("u", 1, 1): _target(-0.1, invalid=True),
    }
    predictions.begin(1, episodes, targets, CENTRE)
    judged = predictions.judge(1, {key: (0.03, 0.01 * key[1]) for key in targets})
    edits = [made for _, kind, made in predictions._kept if kind == "edits"]
    assert [(p.value, p.shown, p.outcome) for p in edits] == [
        (pytest.approx(0.9), 0.9, pytest.approx(0.92)),
        (pytest.approx(0.9), 0.92, pytest.approx(0.95)),
        (pytest.approx(0.91), 0.9, pytest.approx(0.94)),
    ]
    assert [p.group for p in edits] == ["1/a", "1/b", "1/a"], "edits of a workflow share their luck"
    nodes = [made for _, kind, made in predictions._kept if kind == "nodes"]
    assert [(p.value, p.shown, p.outcome) for p in nodes] == [
        (pytest.approx(0.93), 0.9, pytest.approx(upper_value([0.92, 0.94]))),
        (pytest.approx(0.93), 0.92, pytest.approx(0.95)),
    ]
    assert (judged.nodes, judged.edits) == (0.0, 0.0), "too few to believe anything"
    assert judged.metrics["critic/comparisons_edits"] == 3.0
    assert judged.metrics["critic/comparisons_nodes"] == 2.0
    assert np.isnan(judged.metrics["critic/partial_correlation_edits"])


def test_a_stop_and_an_invalid_reply_say_nothing_of_the_critic(store: Store) -> None:
    predictions = _begun(store)
    episodes = {("u", 0): _episode(0, "aa", (0.9, 0.9))}
    targets = {("u", 0, 0): _target(-0.1, invalid=True), ("u", 0, 1): _target(0.0, neutral=True)}
    predictions.begin(1, episodes, targets, CENTRE)
    predictions.judge(1, dict.fromkeys(targets, (0.5, 0.5)))
    assert predictions._kept == []


def _step(predictions: Predictions, step: int, rng: np.random.Generator, said: Any) -> Any:
    """Sixteen edits of sixteen workflows; ``said(outcome, shown)`` is (V, Q)."""
    episodes, targets, values = {}, {}, {}
    for session in range(16):
        shown = 0.9 + 0.03 * float(rng.standard_normal())
        q = shown - 0.9 + 0.02 * float(rng.standard_normal())
        episodes["u", session] = _episode(session, f"{chr(97 + session)}", (shown,))
        targets["u", session, 0] = _target(q)
        values["u", session, 0] = said(q, shown)
    predictions.begin(step, episodes, targets, CENTRE)
    return predictions.judge(step, values)


@pytest.mark.parametrize(
    ("said", "nodes", "edits"),
    [
        (lambda q, shown: (q, q), True, True),
        (lambda q, shown: (shown, shown), False, False),
        (lambda q, shown: (0.0, -q), False, False),
        (lambda q, shown: (-q, q), False, True),
    ],
)
def test_each_kind_of_value_earns_its_own_say(store: Store, said: Any, nodes: bool, edits: bool) -> None:
    predictions, rng = _begun(store), np.random.default_rng(0)
    for step in range(1, 4):
        judged = _step(predictions, step, rng, said)
    assert (judged.nodes > 0.9, judged.edits > 0.9) == (nodes, edits)
    assert (judged.nodes == 0.0, judged.edits == 0.0) == (not nodes, not edits)


def test_comparisons_come_back_as_of_a_step(store: Store) -> None:
    predictions, rng = _begun(store), np.random.default_rng(0)
    kept = []
    for step in range(1, 4):
        _step(predictions, step, rng, lambda q, shown: (q, q))
        kept.append(list(predictions._kept))
    for step in (3, 2, 1):
        assert _begun(store, step)._kept == kept[step - 1]
    assert _begun(store, 0)._kept == []


def test_comparisons_of_an_earlier_version_have_no_groups(store: Store) -> None:
    store.put_meta("critic/predictions", [[1, "edits", 0.1, 0.2, 0.3]])
    assert _begun(store, 1)._kept == [(1, "edits", Prediction(0.1, 0.2, 0.3))]


def test_only_the_newest_are_kept(store: Store) -> None:
    predictions, rng = _begun(store), np.random.default_rng(0)
    for step in range(1, 30):
        judged = _step(predictions, step, rng, lambda q, shown: (q, q))
    assert len(predictions._kept) == 2 * WINDOW
    assert judged.metrics["critic/comparisons_edits"] == WINDOW
    assert predictions._kept[-1][0] == 29
