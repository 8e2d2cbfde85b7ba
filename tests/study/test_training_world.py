"""A world: what an edit does to the problems, and worlds from files."""

from __future__ import annotations

import asyncio

import pytest

from aflow_verl.errors import InvalidAction, UserError
from aflow_verl.study.world import INVALID, STOP, EditKind, Truth, World, WorldFormat, read_world

CERTAIN = World(
    accuracy=0.5,
    edits=(EditKind("good", 1.0, fixes=1.0), EditKind("bad", 3.0, breaks=1.0)),
    invalid=0.2,
    stop=0.0,
    train=10,
    validation=10,
    problems=100,
)


def test_odds_are_those_of_the_table() -> None:
    assert CERTAIN.odds == pytest.approx({"good": 0.2, "bad": 0.6, INVALID: 0.2, STOP: 0.0})


def test_the_mean_gain_of_a_kind() -> None:
    assert EditKind("neutral", 1.0, fixes=0.25, breaks=0.02).gain(0.9) == pytest.approx(0.025 - 0.018)


def test_an_edit_flips_the_share_of_problems_that_its_kind_says() -> None:
    truth = Truth(CERTAIN, seed=0)
    assert 0.3 < truth.score(truth.root.hash) < 0.7
    name, better = truth.edit(truth.root, "good")
    assert name == "good:1"
    assert truth.score(better.hash) == 1.0
    worse = truth.edit(truth.root, "bad")[1]
    assert truth.score(worse.hash) == 0.0
    assert len({truth.root.hash, better.hash, worse.hash}) == 3


def test_grades_are_the_truth_on_the_problems_asked_for() -> None:
    truth = Truth(CERTAIN, seed=0)
    every = truth.grade(truth.root, [f"p{j}" for j in range(100)])
    assert every.mean == pytest.approx(truth.score(truth.root.hash))
    assert {problem.id for problem in truth.train}.isdisjoint({problem.id for problem in truth.validation})
    assert (len(truth.train), len(truth.validation)) == (10, 10)


def test_replies_of_the_policy() -> None:
    truth = Truth(CERTAIN, seed=0)
    actions = WorldFormat(truth)
    assert asyncio.run(actions.read(truth.root, STOP)).child is None
    with pytest.raises(InvalidAction):
        asyncio.run(actions.read(truth.root, INVALID))
    child = asyncio.run(actions.read(truth.root, "good")).child
    assert child is not None
    assert truth.score(child.hash) == 1.0


def test_a_world_from_a_file(tmp_path) -> None:
    file = tmp_path / "world.yaml"
    file.write_text(
        "accuracy: 0.8\nedits:\n- {name: good, share: 1, fixes: 0.5}\n- {name: bad, share: 2.0, breaks: 0.1}\n"
    )
    world = read_world(file)
    assert (world.accuracy, world.edits[0].fixes, world.train) == (0.8, 0.5, World().train)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("accuracy: 1.5", "accuracy: between 0 and 1"),
        ("acuracy: 0.5", "did you mean accuracy"),
        ("edits: [{name: good, share: 1.0}]", "kinds called good and bad"),
        ("invalid: 0.7\nstop: 0.4", "below 1"),
        ("train: 2000", "problems: at least"),
        ("edits: [{name: good, share: 0.0}, {name: bad, share: 1.0}]", "shares must be above 0"),
        ("[", "is no YAML"),
    ],
)
def test_what_makes_no_world_is_told_in_one_line(tmp_path, text: str, message: str) -> None:
    file = tmp_path / "world.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=message):
        read_world(file)


def test_a_missing_file(tmp_path) -> None:
    with pytest.raises(UserError, match="No such file"):
        read_world(tmp_path / "none.yaml")
