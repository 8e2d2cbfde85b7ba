"""What a live tree keeps from one selection to the next changes no choice and no number of it."""

import pickle

import numpy as np
import pytest

from aflow_verl.config import SearchConfig
from aflow_verl.search.catalog import SELECTORS, select
from aflow_verl.search.columns import Columns
from aflow_verl.search.qvalues import QSnapshot, QValue
from aflow_verl.search.tree import Overlay, Tree
from aflow_verl.workflow.state import WorkflowState

PROBLEMS = ("p", "q", "r")


def state(number: int) -> WorkflowState:
    return WorkflowState("toy", f"x = {number}\n", "", ("Custom",))


def change(live: Overlay, number: int, rng: np.random.Generator) -> None:
    """One of the things that happen to a live tree."""
    ids = [node.id for node in live]
    node_id = ids[int(rng.integers(len(ids)))]
    grades = {problem: float(rng.integers(2)) for problem in PROBLEMS if rng.random() < 0.5}
    what = rng.random()
    if what < 0.4:
        live.add_child(node_id, state(number), f"edit {number}", grades, logprob=-float(rng.random()))
        live.visit(node_id)
    elif what < 0.7:
        live.add_grades(node_id, grades)
    elif what < 0.9:
        live.visit(node_id)
    else:  # an edge to a node that is there already
        live.add_child(node_id, live[ids[int(rng.integers(len(ids)))]].state, f"again {number}")


def values(live: Overlay, step: int, rng: np.random.Generator) -> QSnapshot:
    known = [node.id for node in live if rng.random() < 0.7]
    drawn = {i: QValue(float(rng.normal()), float(rng.normal()) if rng.random() < 0.8 else None, step) for i in known}
    return QSnapshot(step, drawn, confidence=0.7)


@pytest.mark.parametrize("fusion", ["raw", "trusted"])
@pytest.mark.parametrize("selector", SELECTORS)
def test_a_live_tree_chooses_like_a_fresh_one(selector: str, fusion: str) -> None:
    rng = np.random.default_rng(0)
    live = Tree.seed(state(0), {"p": 1.0}).overlay()
    settings = SearchConfig(selector=selector, fusion=fusion, rl_weight=0.5, widening_k=0.5)
    q = values(live, 0, rng)
    for number in range(1, 50):
        change(live, number, rng)
        if number % 9 == 0:
            q = values(live, number, rng)
        for critic in (q, None):
            fresh = pickle.loads(pickle.dumps(live))
            found, expected = (
                select(tree, critic, settings, np.random.default_rng(number), in_flight={live.root_id: number % 3})
                for tree in (live, fresh)
            )
            assert (found.node_id, found.node_id_without_q) == (expected.node_id, expected.node_id_without_q)
            assert repr(found.parts) == repr(expected.parts)
            assert found.snapshot_own_q == expected.snapshot_own_q
        live.visit(found.node_id)


def test_an_entry_in_evaluation_stands_on_a_parent_elsewhere(garden, scores) -> None:
    """x, made from b, is a candidate at c as well; its reach is b's mean and a gain."""
    live = garden.tree("ab", "ac", grades={"a": scores(1), "b": scores(0, 0), "c": scores(1, 1, 1)}).overlay()
    for edge in ("bx", "cx"):
        garden.add(live, edge)
    settings = SearchConfig(selector="puct", widening_k=0.1)  # every node with a child is full
    q = QSnapshot(1, {garden.id("x"): QValue(0.1, 0.25, 1)}, confidence=1.0)

    def reach() -> float:
        at_root, at_c, _ = select(live, q, settings, np.random.default_rng(0)).comparisons
        assert (garden.names(at_root.ids), garden.names(at_c.ids)) == ("bc", "x")
        return float(at_c.reach_K[0])

    before = live[garden.id("b")].posterior_mean
    assert reach() == before + 0.25
    live.add_grades(garden.id("b"), {"p5": 1.0})
    after = live[garden.id("b")].posterior_mean
    assert before < after < live[garden.id("c")].posterior_mean
    assert reach() == after + 0.25


def test_what_is_kept_is_made_again_after_a_change_and_is_bounded() -> None:
    live = Tree.seed(state(0), {"p": 1.0}).overlay()
    live.add_child(live.root_id, state(1), "edit")
    fan = live.fan(live.root_id)
    made: list[int] = []

    def make() -> int:
        made.append(len(made))
        return made[-1]

    assert [fan.kept("a", make), fan.kept("a", make)] == [0, 0]
    live.visit(live.root_id)
    assert fan.kept("a", make) == 0
    assert fan.ungraded() == [1]
    live.add_grades(state(1).hash, {"p": 0.0})
    assert fan.ungraded() == []
    assert fan.kept("a", make) == 1
    for key in range(100):
        fan.kept(key, make)
    assert fan.kept("a", make) > 1
    assert isinstance(fan.copy(), Columns)
