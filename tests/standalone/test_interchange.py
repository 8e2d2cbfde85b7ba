"""A workspace of AFlow's: imported, searched on, exported, and imported again as what it was."""

import pytest

from aflow_verl.errors import UserError
from aflow_verl.operators.catalog import operator_infos
from aflow_verl.search.store import Store
from aflow_verl.standalone.history import load_tree, read_ledger
from aflow_verl.standalone.interchange import aflow_operators, put_imported, to_workspace
from aflow_verl.workspace.layout import Made, Round, Run, Workspace
from aflow_verl.workspace.reading import read_workspace
from aflow_verl.workspace.trees import to_tree
from aflow_verl.workspace.writing import write_workspace


def twenty_rounds(scripted, operators):
    """Round k was made from round k // 2."""
    from aflow_verl.workflow.state import WorkflowState

    seed = scripted.SEED_CODE
    rounds = [Round(1, WorkflowState("simulated", seed, "", operators), None, (Run(0.3), Run(0.4)))]
    for number in range(2, 21):
        code = seed.replace('instruction=""', f"instruction=prompt_custom.OLD_{number}")
        state = WorkflowState("simulated", code, f'OLD_{number} = "Old thought {number}."\n', operators)
        made = Made(number // 2, f"old {number}", 0.3, number / 50)
        rounds.append(Round(number, state, made, (Run(number / 50, 0.001, 0.1, "2024-10-01"),)))
    return Workspace("simulated", tuple(rounds))


async def test_twenty_imported_rounds_go_on_for_five_and_come_back_equal(scripted, tmp_path):
    operators = scripted.settings().env.operators
    infos = operator_infos(operators)
    original = twenty_rounds(scripted, operators)
    folder = write_workspace(original, tmp_path / "aflow", infos)
    workspace, notices = read_workspace(folder, operators)
    assert notices == []
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    with Store(run_dir / "tree.sqlite") as store:
        put_imported(store, to_tree(workspace))
        with pytest.raises(UserError, match="holds a search already"):
            put_imported(store, to_tree(workspace))
        assert load_tree(store, "simulated", 0).root.prior_mean == pytest.approx(0.35)

    outcome = await scripted.run(run_dir, scripted.ScriptedEditor(), rounds=5)
    assert outcome.rounds == 5
    with Store(run_dir / "tree.sqlite") as store:
        assert len(read_ledger(store)) == 5
        tree, exported = load_tree(store, "simulated", 5), to_workspace(store)
    assert len(tree) == len(exported.rounds) == 25
    assert {node.id for node in to_tree(workspace).tree()} < {node.id for node in tree}

    again, notices = read_workspace(write_workspace(exported, tmp_path / "back", infos), operators)
    assert notices == []
    back = to_tree(again).tree()
    assert [n.id for n in back] == [n.id for n in tree]
    assert [(n.parent_id, n.action) for n in back] == [(n.parent_id, n.action) for n in tree]
    assert {n.id: (n.visits, back.children(n.id)) for n in back} == {
        n.id: (n.visits, tree.children(n.id)) for n in tree
    }
    assert [r.runs for r in again.rounds] == [r.runs for r in exported.rounds]
    old = {r.state.hash: r.runs for r in original.rounds}
    assert all(r.runs[: len(old[r.state.hash])] == old[r.state.hash] for r in again.rounds if r.state.hash in old)


async def test_an_imported_tree_needs_its_operators(scripted, tmp_path):
    with Store(tmp_path / "tree.sqlite") as store:
        put_imported(store, to_tree(twenty_rounds(scripted, ("Custom",))))
    with pytest.raises(UserError, match=r"may use \[Custom\]; set env.operators to these"):
        await scripted.run(tmp_path, scripted.ScriptedEditor())


def test_aflows_operators():
    assert aflow_operators("humaneval") == ("Custom", "CustomCodeGenerate", "ScEnsemble", "Test")
    with pytest.raises(UserError, match="no dataset of AFlow's"):
        aflow_operators("simulated")


def test_a_store_without_a_search_has_no_workspace(tmp_path):
    with Store(tmp_path / "tree.sqlite") as store, pytest.raises(UserError, match="holds no search"):
        to_workspace(store)
