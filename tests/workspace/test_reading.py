import json

import pytest

from aflow_verl.errors import UserError
from aflow_verl.workspace.reading import UNKNOWN_MODIFICATION, read_workspace


def test_a_whole_workspace(files):
    files.round(1, "", scores=(0.5, 0.6))
    files.round(2, "PLAN", father=1, scores=(0.7,))
    for path in (files.folder, files.folder.parent, files.folder.parent.parent):
        workspace, notices = read_workspace(path)
        assert notices == []
        assert (workspace.dataset, [r.number for r in workspace.rounds]) == ("gsm8k", [1, 2])
    seed, child = workspace.rounds
    assert seed.score == pytest.approx(0.55)
    assert (seed.made, [run.score for run in seed.runs]) == (None, [0.5, 0.6])
    assert (child.made.father, child.made.modification) == (1, "Add PLAN")
    assert (child.made.before, child.made.after) == (pytest.approx(0.55), 0.7)
    assert (child.runs[0].avg_cost, child.runs[0].total_cost, child.runs[0].time) == (0.001, 0.2, "2024-10-02")
    assert child.logs == ({"question": "q2", "model_output": "?"},)
    assert seed.state.operators == child.state.operators == ("Custom",)


def test_what_is_broken_is_named_and_the_rest_is_kept(files):
    files.round(1, "", scores=(0.5,))
    (files.round(2, "A", 1, (0.6,)) / "graph.py").write_text("class Workflow(:\n")
    (files.round(3, "B", 2, (0.7,)) / "prompt.py").unlink()
    (files.round(4, "C", 1, (0.8,)) / "experience.json").write_text('{"father node": 1, ')
    (files.round(5, "D", 4, (0.9,)) / "experience.json").write_text('{"father node": 4, "after": 0.9}')
    (files.round(6, "E", 1, (0.3,)) / "log.json").write_text("[{")
    (files.folder / "results.json").write_text(json.dumps([*files.results, {"round": 99, "score": 0.1}]))
    (files.folder / "round_7").mkdir()
    (files.folder / "round_8").mkdir()
    (files.folder / "round_8" / "graph.py").write_text("x = 1\n")
    workspace, notices = read_workspace(files.folder)
    assert [r.number for r in workspace.rounds] == [1, 3, 4, 5, 6]
    by_number = {r.number: r for r in workspace.rounds}
    assert (by_number[3].made.father, by_number[3].made.modification) == (1, "Add B"), "its father was left out"
    assert (by_number[4].made.father, by_number[4].made.modification) == (1, UNKNOWN_MODIFICATION)
    assert (by_number[5].made.father, by_number[5].made.before) == (4, 0.8)
    for part in (
        "round_2/graph.py: no Python",
        "round_3/prompt.py: No such file",
        "round_3/experience.json: its father node 2 is not there",
        "round_4/experience.json: not JSON",
        "round_5/experience.json: no modification",
        "round_5/experience.json: no score before",
        "round_6/log.json: not JSON",
        "round_7/graph.py: No such file",
        "round_8/graph.py: no class Workflow",
        "a score of round 99, which is not there",
    ):
        assert sum(part in notice for notice in notices) == 1, (part, notices)


def test_results_that_break_off_give_the_rows_before(files):
    files.round(1, "", scores=(0.5, 0.7))
    text = (files.folder / "results.json").read_text()
    (files.folder / "results.json").write_text(text[: text.rindex('"score": 0.7')])
    workspace, notices = read_workspace(files.folder)
    assert [run.score for run in workspace.rounds[0].runs] == [0.5]
    assert len(notices) == 1
    assert "not JSON" in notices[0]


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        ([{"round": 1, "score": None}, {"round": 1, "score": 0.4}], [0.4]),
        ([{"round": "1", "score": 0.4}, 7], []),
        ([{"round": 1, "score": float("nan")}, {"round": 1, "score": 40.0}], []),
        ({"round": 1}, []),
    ],
)
def test_odd_rows_are_left_out_and_never_scored_0(files, rows, kept):
    files.round(1, "")
    (files.folder / "results.json").write_text(json.dumps(rows))
    workspace, notices = read_workspace(files.folder)
    assert [run.score for run in workspace.rounds[0].runs] == kept
    assert notices
    assert workspace.rounds[0].score == (kept[0] if kept else None)


def test_without_results_scores_are_unknown(files):
    files.round(1, "")
    (files.folder / "results.json").unlink()
    workspace, notices = read_workspace(files.folder)
    assert workspace.rounds[0].score is None
    assert notices == ["workflows/results.json: No such file or directory"]


def test_rounds_with_operators_that_the_search_lacks_are_left_out(files):
    files.round(1, "", scores=(0.5,))
    graph = files.round(2, "A", 1, (0.6,)) / "graph.py"
    graph.write_text(graph.read_text().replace("operator.Custom", "operator.Programmer"))
    workspace, notices = read_workspace(files.folder, ["Custom", "ScEnsemble"])
    assert [r.number for r in workspace.rounds] == [1]
    assert workspace.rounds[0].state.operators == ("Custom", "ScEnsemble")
    assert notices[0] == "round_2: uses Programmer, which this search lacks; it is left out"
    everything, _ = read_workspace(files.folder)
    assert {r.state.operators for r in everything.rounds} == {("Custom", "Programmer")}


def test_no_workspace_is_one_line(tmp_path, files):
    with pytest.raises(UserError, match="no AFlow workspace"):
        read_workspace(tmp_path / "nowhere")
    files.round(2, "A", scores=(0.5,))
    with pytest.raises(UserError, match="no readable round_1"):
        read_workspace(files.folder)
    (files.folder.parent.parent / "MATH" / "workflows" / "round_1").mkdir(parents=True)
    with pytest.raises(UserError, match=r"several datasets \(GSM8K, MATH\)"):
        read_workspace(files.folder.parent.parent)
