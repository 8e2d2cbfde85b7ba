"""Stored records: those of today, and those of earlier versions."""

import json
from dataclasses import replace

from aflow_verl.search.records import (
    EdgeRecord,
    GradeRecord,
    NodeRecord,
    TreeDelta,
    TriedRecord,
    VisitRecord,
    delta_from_json,
    delta_to_json,
    state_from_json,
    state_to_json,
)
from aflow_verl.search.store import Store
from aflow_verl.search.tree import Tree


def as_stored(garden) -> list[dict[str, object]]:
    """Records as the version before weights and failures wrote them: the prior mean was the parent's posterior mean."""
    state = {"dataset": "toy", "code": garden.state("b").code, "prompts": "", "operators": ["Custom"]}
    return [
        {
            "kind": "node",
            "node_id": garden.id("b"),
            "parent_id": garden.id("a"),
            "state": state,
            "action": "ab",
            "grades": {"p0": 1.0, "p1": 0.0},
            "prior_mean": 0.6666666,
            "logprob": -0.5,
            "response_ids": [20, 2],
            "origin": "step1/row0/session0",
        },
        {"kind": "edge", "parent_id": garden.id("a"), "child_id": garden.id("b"), "action": "another way"},
        {"kind": "tried", "node_id": garden.id("a"), "action": "bad"},
        {"kind": "grade", "node_id": garden.id("a"), "grades": {"p0": 0.0}},
        {"kind": "visit", "node_id": garden.id("a")},
    ]


def test_every_record_survives_json(garden):
    delta = TreeDelta(
        (
            NodeRecord("b", "a", garden.state("b"), "ab", {"p": 1.0}, {"p": 0.5}, ("asked", "said"), 0.9, -1.0, "here"),
            EdgeRecord("a", "b", "ab"),
            TriedRecord("a", "bad"),
            GradeRecord("a", {"p": 0.0}, {"p": 1.5}, ("asked",)),
            VisitRecord("a"),
        )
    )
    assert delta_from_json(json.loads(json.dumps(delta_to_json(delta)))) == delta
    state = garden.state("b")
    assert state_from_json(json.loads(json.dumps(state_to_json(state)))) == state


def test_records_of_an_earlier_version_are_read(garden):
    delta = delta_from_json(json.loads(json.dumps(as_stored(garden))))
    node, edge, tried, grade, visit = delta.records
    assert node == NodeRecord(
        garden.id("b"),
        garden.id("a"),
        garden.state("b"),
        "ab",
        {"p0": 1.0, "p1": 0.0},
        prior_mean=0.6666666,
        logprob=-0.5,
        origin="step1/row0/session0",
    )
    assert (edge, tried) == (
        EdgeRecord(garden.id("a"), garden.id("b"), "another way"),
        TriedRecord(garden.id("a"), "bad"),
    )
    assert (grade, visit) == (GradeRecord(garden.id("a"), {"p0": 0.0}), VisitRecord(garden.id("a")))


def test_a_tree_of_an_earlier_version_rests_on_its_grades_alone(garden, tmp_path):
    """What it wrote as the prior mean of a graded node moves nothing."""
    with Store(tmp_path / "tree.sqlite") as store:
        store.put_root("toy", garden.state("a"))
        store.put_delta("toy", 1, "s0", delta_from_json(as_stored(garden)))  # type: ignore[arg-type]
        store.commit_step("toy", 1, ["s0"])
        tree = store.load_tree("toy", 1)
    afresh = Tree.seed(garden.state("a")).overlay()
    garden.add(afresh, "ab", {"p0": 1.0, "p1": 0.0})
    afresh.add_grades(garden.id("a"), {"p0": 0.0})
    assert tree.estimates() == afresh.estimates()
    assert tree.gain(garden.id("b")).mean == 1.0


def test_weights_failures_and_an_imports_score_come_back_from_a_store(garden, tmp_path):
    with Store(tmp_path / "tree.sqlite") as store:
        store.put_root("toy", garden.state("a"))
        overlay = store.load_tree("toy", 0, root_prior_mean=0.8).overlay()
        assert overlay.x(overlay.root_id) == 0.8
        garden.add(overlay, "ab", {"p0": 1.0}, weights={"p0": 0.5}, failures=("asked",))
        overlay.apply(NodeRecord(garden.id("c"), garden.id("a"), garden.state("c"), "ac", {}, prior_mean=0.9))
        overlay.add_grades(garden.id("a"), {"p0": 0.0}, weights={"p0": 0.5})
        store.put_delta("toy", 1, "s0", overlay.delta())
        store.commit_step("toy", 1, ["s0"])
        tree = store.load_tree("toy", 1, root_prior_mean=0.8)
    assert list(tree) == [node if node.parent_id is None else replace(node, step=1) for node in overlay]
    assert tree.estimates() == overlay.estimates()
    assert tree.x(garden.id("c")) == 0.9
