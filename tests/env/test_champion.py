"""The best workflow: two stages, fresh problems for the second, the same after a resume."""

import ast
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from aflow_verl.env.champion import Champions, write_workflow
from aflow_verl.search.store import Store
from aflow_verl.search.tree import Tree
from aflow_verl.types import Evaluation, Grade, Problem
from aflow_verl.workflow.edits import EditSpace, apply_edit
from aflow_verl.workflow.graph_source import with_header
from aflow_verl.workflow.state import WorkflowState, seed_state

VALIDATION = tuple(Problem(f"v{k}", "", "") for k in range(8))
SOLVED = {"seed": (2, 2), "lucky": (4, 0), "good": (3, 3), "worse": (1, 4), "better": (4, 3)}
"""Of the first four and of the fresh four problems."""


def _tree() -> Tree:
    overlay = Tree.seed(seed_state("toy", ("Custom",))).overlay()
    for name, score in (("lucky", 1.0), ("good", 0.9), ("worse", 0.8), ("better", 0.7)):
        state = WorkflowState("toy", f"class Workflow:\n    name = {name!r}\n", "", ("Custom",))
        overlay.add_child(overlay.root_id, state, name, {"p": score})
    return overlay.frozen()


class _Evaluate:
    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    async def __call__(self, state: WorkflowState, problems: Sequence[Problem]) -> Evaluation:
        name = next((name for name in SOLVED if repr(name) in state.code), "seed")
        half = int(problems[0].id == "v4")
        self.asked.append((name, ("first", "fresh")[half]))
        return Evaluation(tuple(Grade(p.id, float(k < SOLVED[name][half])) for k, p in enumerate(problems)))


async def test_a_new_best_is_confirmed_on_fresh_problems(tmp_path: Path) -> None:
    evaluate, tree = _Evaluate(), _tree()
    champions = Champions("toy", Store(tmp_path / "s.sqlite"), evaluate, VALIDATION, candidates=2)
    await champions.resume(tree, 0)
    assert champions.best is champions.seed
    await champions.challenge(tree, 1)  # lucky and good have the highest posterior means
    assert ("lucky", "fresh") in evaluate.asked
    assert champions.best.validation.mean == pytest.approx(6 / 8)  # good; lucky fell on the fresh problems
    await champions.challenge(tree, 2)
    assert ("worse", "fresh") not in evaluate.asked
    assert champions.best.validation.mean == pytest.approx(7 / 8)

    again = Champions("toy", Store(tmp_path / "s.sqlite"), evaluate, VALIDATION, candidates=2)
    await again.resume(tree, 1)
    assert again.best.validation.mean == pytest.approx(6 / 8)
    await again.challenge(tree, 2)
    assert again.best.node_id == champions.best.node_id


@pytest.mark.parametrize("headed", [False, True])
def test_the_best_workflow_is_written_in_aflows_layout(tmp_path: Path, headed: bool) -> None:
    space = EditSpace()
    state = apply_edit(seed_state("toy", space.operators), "instruct:0:step_by_step", space)
    if headed:  # as a policy may write it
        state = replace(state, code=with_header(state.code, "toy", "round_7"))
    folder = tmp_path / "best_workflow"
    write_workflow(folder, state, {"validation": 0.5})
    write_workflow(folder, state, {"validation": 0.75})
    assert sorted(path.name for path in folder.iterdir()) == ["graph.py", "prompt.py", "score.json"]
    assert json.loads((folder / "score.json").read_text()) == {"validation": 0.75}
    graph, prompts = (folder / "graph.py").read_text(), (folder / "prompt.py").read_text()
    imported = [ast.unparse(node) for node in ast.parse(graph).body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert imported == [
        "import workspace.toy.workflows.template.operator as operator",
        "import workspace.toy.workflows.best_workflow.prompt as prompt_custom",
        "from scripts.async_llm import create_llm_instance",
    ]
    assert WorkflowState("toy", graph, prompts, state.operators).hash == state.hash
