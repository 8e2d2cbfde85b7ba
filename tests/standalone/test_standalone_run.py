"""A whole search against AFlow's rule, over kills and resumes, within its budget."""

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from aflow_verl.search.store import Store
from aflow_verl.standalone.history import RoundEntry, load_tree, read_ledger

HERE = Path(__file__).parent
GOLDEN = json.loads((HERE / "soft_mixed_golden.json").read_text())


def edited(rounds: list[RoundEntry]) -> list[int]:
    """Number of the round whose workflow each round edited; 0 is the seed."""
    made = {entry.child: place for place, entry in enumerate(rounds, start=1)}
    return [made.get(entry.node, 0) for entry in rounds]


def ledger(run_dir: Path) -> list[RoundEntry]:
    with Store(run_dir / "tree.sqlite") as store:
        return read_ledger(store)


async def test_one_worker_makes_aflows_choices(scripted, tmp_path):
    editor = scripted.ScriptedEditor()
    outcome = await scripted.run(tmp_path, editor)
    rounds = ledger(tmp_path)
    assert [entry.score for entry in rounds] == pytest.approx(GOLDEN["scores"][1:])
    assert edited(rounds) == GOLDEN["edited"]
    assert (outcome.reason, outcome.rounds, editor.calls) == ("rounds", 20, 20)
    assert outcome.seed.mean == pytest.approx(GOLDEN["scores"][0])
    assert outcome.best.mean <= max(GOLDEN["scores"])
    assert outcome.best.low < outcome.best.mean < outcome.best.high
    found = json.loads((tmp_path / "best_workflow" / "score.json").read_text())
    assert found["gain"] == outcome.report["gain"]
    assert found["best"]["heldout"]["n"] == found["gain"]["n"] == 8
    assert "prompt_custom.COLOUR_" in (tmp_path / "best_workflow" / "graph.py").read_text()
    with Store(tmp_path / "tree.sqlite") as store:
        tree = load_tree(store, "simulated", 20)
        assert len(tree) == 21
        assert tree.root.visits == 20
        assert len(store.load_experience("simulated", 20)) == 20
    shown = editor.shown[18].messages[1]["content"]
    before = GOLDEN["edited"][:18].count(GOLDEN["edited"][18])
    assert shown.count(" on 30 problems: colour ") == before > 1, "what was tried on this workflow"
    assert " in 18 edits: changes a prompt" in shown, "what was tried anywhere"
    assert shown.count("Answer: ") == 3


async def test_a_killed_search_goes_on_as_if_nothing_had_been(scripted, tmp_path):
    command = [sys.executable, str(HERE / "scripted_search.py"), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if line.strip() == "4":
                running.send_signal(signal.SIGKILL)
    assert running.returncode == -signal.SIGKILL
    before = ledger(tmp_path)
    assert 4 <= len(before) < 20
    outcome = await scripted.run(tmp_path, scripted.ScriptedEditor(skip=len(before)))
    assert ledger(tmp_path)[: len(before)] == before
    assert edited(ledger(tmp_path)) == GOLDEN["edited"]
    again = await scripted.run(tmp_path, scripted.ScriptedEditor(skip=20))
    assert (again.report, again.rounds) == (outcome.report, 20), "a finished search says what it found"


async def test_a_broken_workflow_is_repaired_or_costs_nothing(scripted, tmp_path):
    """The graphs of the first, third and fourth draw fail; the second one mends the first."""
    editor = scripted.ScriptedEditor(broken={1, 3, 4})
    outcome = await scripted.run(tmp_path, editor, rounds=2, redraws=0)
    repaired, given_up = ledger(tmp_path)
    assert (repaired.action, repaired.draws, repaired.why) == ("colour 2", 2, "")
    assert (given_up.action, given_up.draws, given_up.why) == ("colour 4", 2, "fails_dry_run")
    assert (given_up.child, given_up.cost_usd) == (None, 0.0)
    assert [len(offer.messages) for offer in editor.shown] == [2, 4, 2, 4]
    assert "name 'solutions' is not defined" in editor.shown[1].messages[3]["content"]
    with Store(tmp_path / "tree.sqlite") as store:
        tree = load_tree(store, "simulated", 2)
    assert len(tree) == 2
    assert "colour 4" in tree.tried(given_up.node)
    challenged = 40 if tree[repaired.child].mean > tree.root.mean else 0
    assert outcome.totals["calls"] == 30 + 30 + 2 * challenged + 8 * (1 + (not outcome.best_is_seed))


async def test_a_search_that_races_goes_on_as_if_nothing_had_been(scripted, tmp_path):
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    await scripted.run(whole, scripted.ScriptedEditor(), rounds=10, race=True)
    await scripted.run(halves, scripted.ScriptedEditor(), rounds=5, race=True)
    await scripted.run(halves, scripted.ScriptedEditor(skip=5), rounds=10, race=True)
    assert [replace(entry, time="") for entry in ledger(halves)] == [replace(entry, time="") for entry in ledger(whole)]
    with Store(whole / "tree.sqlite") as store:
        graded = [len(node.grades) for node in load_tree(store, "simulated", 10)]
    assert (graded[0], min(graded) < 30) == (30, True)
