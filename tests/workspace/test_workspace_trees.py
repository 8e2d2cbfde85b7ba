import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aflow_verl.errors import UserError
from aflow_verl.operators.catalog import operator_infos
from aflow_verl.workflow.state import WorkflowState
from aflow_verl.workspace.layout import Made, Round, Run, Workspace
from aflow_verl.workspace.reading import read_workspace
from aflow_verl.workspace.trees import Imported, from_tree, to_tree
from aflow_verl.workspace.writing import write_workspace

INFOS = operator_infos(["Custom", "ScEnsemble"])


NEW = WorkflowState("gsm8k", "class Workflow:\n    new = 1\n", "", ("Custom",))


def contents(imported: Imported) -> object:
    """Everything but the numbers of the rounds, which an export makes anew."""
    tree = imported.tree()
    nodes = [
        (n.id, n.parent_id, n.action, n.visits, n.edits, pytest.approx(n.prior_mean), sorted(tree.children(n.id)))
        for n in tree
    ]
    told = sorted((r.parent, str(r.child), r.modification, r.before, str(r.after)) for r in imported.experience)
    runs = {node_id: sorted(map(repr, found)) for node_id, found in imported.runs.items()}
    return imported.benchmark, nodes, told, runs, imported.logs


def exported(imported: Imported, folder: Path) -> Path:
    workspace = from_tree(imported.tree(), imported.experience, imported.runs, imported.logs)
    return write_workspace(workspace, folder, INFOS)


def test_round_means_are_what_the_search_believes_until_it_has_graded(files):
    files.round(1, "", scores=(0.5, 0.7))
    files.round(2, "A", 1, (0.9,))
    files.round(3, "B", 2)
    imported = to_tree(read_workspace(files.folder)[0])
    tree = imported.tree()
    first, second, third = tree
    assert (tree.x(first.id), first.mean, first.grades) == (pytest.approx(0.6), pytest.approx(0.6), {})
    assert (tree.x(second.id), second.parent_id, second.action) == (0.9, first.id, "Add A")
    assert tree.x(third.id) == pytest.approx(0.9), "no run of its own: what its father had"
    assert (first.visits, first.edits, second.edits) == (2, 1, 1)
    live = tree.overlay()
    live.add_grades(first.id, {"p": 1.0})
    live.add_grades(second.id, {"p": 0.0})
    assert live.x(second.id) < live.x(first.id), "graded here, they are compared"
    helped, unknown = imported.experience
    assert (helped.gain, helped.origin) == (pytest.approx(0.3), "aflow/round_2")
    assert (unknown.after, unknown.gain) == (None, None)


def test_twenty_rounds_go_round(twenty, tmp_path):
    imported = to_tree(read_workspace(twenty().folder)[0])
    assert len(imported.tree()) == 20
    folder = exported(imported, tmp_path / "out" / "workspace")
    again, notices = read_workspace(folder)
    assert notices == []
    assert contents(to_tree(again)) == contents(imported)


def test_one_workflow_in_several_rounds_is_one_node(files, tmp_path):
    files.round(1, "", scores=(0.5,))
    files.round(2, "A", 1, (0.6,))
    files.round(3, "B", 1, (0.7,))
    files.round(4, "A", 3, (0.8,))  # the workflow of round 2 again, from another father
    files.round(5, "A", 1, (0.4,))  # and from the same one
    files.round(6, "A", 2, (0.2,))  # and from itself
    imported = to_tree(read_workspace(files.folder)[0])
    tree = imported.tree()
    assert len(tree) == 3
    first, shared, other = tree
    assert tree.x(shared.id) == pytest.approx((0.6 + 0.8 + 0.4 + 0.2) / 4)
    assert tree.parents(shared.id) == (first.id, other.id)
    assert len(imported.experience) == 5
    assert contents(to_tree(read_workspace(exported(imported, tmp_path / "out"))[0])) == contents(imported)


def test_what_was_graded_here_becomes_a_run(files, tmp_path):
    files.round(1, "", scores=(0.5,))
    imported = to_tree(read_workspace(files.folder)[0])
    live = imported.tree().overlay()
    child = live.add_child(live.root_id, NEW, "New", {"p": 1.0, "q": 0.0})
    workspace = from_tree(live, imported.experience, imported.runs)
    assert [r.score for r in workspace.rounds] == [0.5, 0.5]
    assert workspace.rounds[1].made == Made(1, "New", 0.5, 0.5)
    paid = from_tree(live, runs=imported.runs, run_of=lambda node: Run(node.mean, 0.1, 0.2) if node.grades else None)
    assert paid.rounds[1].runs == (Run(0.5, 0.1, 0.2),)
    again = to_tree(read_workspace(write_workspace(workspace, tmp_path / "out", INFOS))[0]).tree()
    assert [node.id for node in again] == [live.root_id, child.id]


def test_the_files_are_those_that_aflow_reads(files, tmp_path):
    files.round(1, "", scores=(0.5,))
    files.round(2, "A", 1, (0.4,))
    folder = exported(to_tree(read_workspace(files.folder)[0]), tmp_path / "workspace2")
    assert folder == tmp_path / "workspace2" / "GSM8K" / "workflows"
    assert json.loads((folder / "results.json").read_text()) == files.results
    graph = (folder / "round_2" / "graph.py").read_text()
    assert "import workspace.GSM8K.workflows.round_2.prompt as prompt_custom" in graph
    assert "from scripts.evaluator import DatasetType" in graph
    assert "class Workflow:" in graph
    assert json.loads((folder / "round_2" / "experience.json").read_text()) == {
        "father node": 1,
        "modification": "Add A",
        "before": 0.5,
        "after": 0.4,
        "succeed": False,
    }
    assert json.loads((folder / "processed_experience.json").read_text()) == {
        "1": {"score": 0.5, "success": {}, "failure": {"2": {"modification": "Add A", "score": 0.4}}}
    }
    assert set(json.loads((folder / "template" / "operator.json").read_text())) == {"Custom", "ScEnsemble"}
    assert not (folder / "round_1" / "experience.json").exists()
    assert (folder / "round_2" / "__init__.py").read_text() == ""


def test_nothing_is_overwritten_and_nothing_is_left_half_done(files, tmp_path):
    files.round(1, "", scores=(0.5,))
    imported = to_tree(read_workspace(files.folder)[0])
    exported(imported, tmp_path / "out")
    with pytest.raises(UserError, match="exists already"):
        exported(imported, tmp_path / "out")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="can't be written"):
        exported(imported, tmp_path / "file" / "below")
    assert [entry.name for entry in (tmp_path / "out").iterdir()] == ["GSM8K"]


score = st.floats(0, 1)
plans = st.lists(st.tuples(st.integers(0, 99), st.integers(0, 12), st.lists(score, max_size=2)), max_size=12)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(plans)
def test_any_tree_goes_round(tmp_path_factory, plan):
    def state(name: int) -> WorkflowState:
        return WorkflowState("toy", f"class Workflow:\n    name = {name}\n    op = operator.Custom\n", "", ("Custom",))

    rounds = [Round(1, state(-1), None, (Run(0.5),))]
    for number, (picked, name, scores) in enumerate(plan, start=2):
        father = rounds[picked % len(rounds)].number
        made = Made(father, f"edit {number}", 0.5, scores[0] if scores else None)
        rounds.append(Round(number, state(name), made, tuple(Run(s) for s in scores)))
    imported = to_tree(Workspace("toy", tuple(rounds)))
    folder = exported(imported, tmp_path_factory.mktemp("any"))
    again, notices = read_workspace(folder)
    assert notices == []
    assert contents(to_tree(again)) == contents(imported)
