"""The replay: what rules spend and choose, coverage, twins, the report and the command."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest

from aflow_verl.errors import UserError
from aflow_verl.study.recorded import RecordedTree
from aflow_verl.study.replay import replay
from aflow_verl.study.replay_command import add_arguments, run
from aflow_verl.study.replay_intervals import coverage
from aflow_verl.study.replay_rules import RULES, Desk
from aflow_verl.study.replay_twins import twins


def test_a_desk_hands_out_every_score_once(tree: RecordedTree) -> None:
    desk = Desk(tree, np.random.default_rng(0))
    assert desk.grade_more(3, 1000) == 120
    assert desk.grade_more(3, 1) == 0
    assert desk.means_N()[3] == pytest.approx(tree.mean_N[3])
    assert desk.spent == 120


def test_all_workflows_meet_the_same_problems(tree: RecordedTree) -> None:
    desk = Desk(tree, np.random.default_rng(0))
    for workflow in range(16):
        desk.grade_more(workflow, 25)
    assert (desk.grades.count_NP == (np.arange(60) < 25)).all()


@pytest.mark.parametrize("name", ["uniform", "halving", "adaptive"])
def test_no_rule_spends_more_than_the_budget(tree: RecordedTree, name: str) -> None:
    for budget in (16 * 16, 16 * 3):
        desk = Desk(tree, np.random.default_rng(1))
        RULES[name](desk, tree, budget, np.random.default_rng(1))
        assert budget * 0.6 < desk.spent <= budget


def test_adaptive_finds_the_best_more_often_than_uniform(tree: RecordedTree) -> None:
    best = int(tree.mean_N.argmax())
    assert best == 14
    found = {
        name: np.mean(
            [
                RULES[name](Desk(tree, np.random.default_rng(k)), tree, 8 * 16, np.random.default_rng([k, 1])) == best
                for k in range(30)
            ]
        )
        for name in ("uniform", "adaptive")
    }
    assert found["adaptive"] >= 0.9
    assert found["adaptive"] > found["uniform"]


def test_a_race_spends_little_on_a_crashed_workflow_and_grades_the_best_on_everything(tree: RecordedTree) -> None:
    desk = Desk(tree, np.random.default_rng(0))
    assert RULES["one by one"](desk, tree, 0, np.random.default_rng(0)) == 14
    count_N = desk.grades.count_NP.sum(axis=1)
    assert count_N[15] == 8
    assert count_N[0] == count_N[14] == 60


def test_coverage_of_constant_scores_is_whole_and_of_the_made_up_search_near_the_nominal(tree: RecordedTree) -> None:
    same = RecordedTree("same", np.ones((2, 1, 10)), (None, 0))
    assert [(c.kind, c.cases, c.share) for c in coverage(same, 5, np.random.default_rng(0))] == [
        ("mean", 10, 1.0),
        ("gain", 5, 1.0),
    ]
    for found in coverage(tree, 60, np.random.default_rng(0)):
        assert 0.92 < found.share < 0.985
    assert all(c.share < 0.75 for c in coverage(tree, 60, np.random.default_rng(0), confidence=0.6))


def test_twins_by_hand() -> None:
    scores = np.array([[[1.0, 0.0]], [[1.0, 1.0]], [[0.0, 0.0]], [[1.0, 0.0]]])
    found = twins(RecordedTree("t", scores, (None, 0, 0, 0), ("a", "b", "b", "c")))
    assert found is not None
    assert (found.copies, found.pairs, found.mean_gap, found.largest_gap, found.best_gap) == (1, 1, 1.0, 1.0, 1.0)
    alone = twins(RecordedTree("t", scores, (None, 0, 0, 0), ("a", "b", "c", "d")))
    assert alone is not None
    assert (alone.copies, alone.mean_gap, alone.best_gap) == (0, 0.0, None)
    assert twins(RecordedTree("t", scores, (None, 0, 0, 0))) is None


@pytest.fixture
def recorded(tmp_path: Path, tree: RecordedTree) -> Path:
    nodes = [
        {"node": n, "parent": tree.parents[n], "runs": scores.tolist()} for n, scores in enumerate(tree.scores_NRP)
    ]
    file = tmp_path / "trees.jsonl"
    file.write_text(2 * (json.dumps({"dataset": "made up", "nodes": nodes}) + "\n"))
    return file


def test_the_report_repeats_and_holds_what_was_asked(recorded: Path) -> None:
    report = replay([], recorded, replications=3, seed=5)
    assert report == replay([], recorded, replications=3, seed=5)
    text = report.to_markdown()
    for part in ("2 searches, 32 workflows, 3 replications each, seed 5", "| adaptive |", "| gain |", "## Twins"):
        assert part in text
    told = json.loads(report.to_json())
    assert set(told["trees"][0]["rules"]) == set(RULES)
    assert told["trees"][0]["rules"]["uniform"]["gradings"] == 16.0
    assert 0 <= told["trees"][0]["rules"]["uniform"]["regret"] < told["trees"][0]["best"]


def _parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(words)


def test_the_command(recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert run(_parse("--recorded", str(recorded), "--replications", "1", "--out", str(out))) == 0
    assert (out / "replay.md").read_text() == capsys.readouterr().out
    assert json.loads((out / "replay.json").read_text())["replications"] == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "nothing to replay"),
        (("--recorded", "no.jsonl"), "no.jsonl: no file of recorded searches"),
        (("x", "--gradings", "0"), "--gradings: has to be at least 1"),
        (("x", "--seed", "-1"), "--seed: has to be at least 0"),
    ],
)
def test_wrong_words_are_one_clear_line(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        run(_parse(*words))
