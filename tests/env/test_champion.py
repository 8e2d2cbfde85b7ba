"""The best workflow: two stages, fresh problems for the second, the same after a resume."""

import ast
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from aflow_verl.env.champion import Champions, write_workflow
from aflow_verl.errors import InfrastructureError
from aflow_verl.evaluation.race import Race
from aflow_verl.evaluation.racing import Verdict
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


class _Contest:
    """Races over all problems, from the table; what is listed in ``down`` is incomplete."""

    def __init__(self, down: tuple[str, ...] = ()) -> None:
        self.down = down
        self.raced: list[tuple[str, str]] = []
        self.graded: list[str] = []

    async def evaluate(self, workflow: WorkflowState, problems: Sequence[Problem]) -> Evaluation:
        self.graded.append(_name(workflow))
        if f"{_name(workflow)}/all" in self.down:
            raise InfrastructureError("the model is down")
        return Evaluation(tuple(Grade(p.id, _score(workflow, p)) for p in problems))

    async def race(
        self, child: WorkflowState, parent: WorkflowState, problems: Sequence[Problem], *, seed: int
    ) -> Race:
        half = "fresh" if problems[0].id == "v4" else "first"
        self.raced.append((_name(child), half))
        ours, theirs = ({p.id: _score(workflow, p) for p in problems} for workflow in (child, parent))
        gain = (sum(ours.values()) - sum(theirs.values())) / len(problems)
        ended: Verdict = "incomplete" if f"{_name(child)}/{half}" in self.down else "cap"
        return Race(ended, ours, theirs, gain, len(problems), 0)


def _name(workflow: WorkflowState) -> str:
    return next((name for name in SOLVED if repr(name) in workflow.code), "seed")


def _score(workflow: WorkflowState, problem: Problem) -> float:
    number = int(problem.id[1:])
    return float(number % 4 < SOLVED[_name(workflow)][number // 4])


async def test_a_new_best_is_confirmed_on_fresh_problems(tmp_path: Path) -> None:
    contest, tree = _Contest(), _tree()
    champions = Champions("toy", Store(tmp_path / "s.sqlite"), contest, VALIDATION, candidates=2)
    await champions.resume(tree, 0)
    assert champions.best is champions.seed
    await champions.challenge(tree, 1)  # lucky and good have the highest posterior means
    assert ("lucky", "fresh") in contest.raced
    assert champions.best.validation.mean == pytest.approx(6 / 8)  # good; lucky fell on the fresh problems
    await champions.challenge(tree, 2)
    assert ("worse", "fresh") not in contest.raced
    assert champions.best.validation.mean == pytest.approx(7 / 8)

    resumed = _Contest()
    again = Champions("toy", Store(tmp_path / "s.sqlite"), resumed, VALIDATION, candidates=2)
    await again.resume(tree, 1)
    assert again.best.validation.mean == pytest.approx(6 / 8)
    assert resumed.raced == []  # outcomes are stored
    await again.challenge(tree, 2)
    assert again.best.node_id == champions.best.node_id


async def test_a_refresh_grades_seed_and_best_with_the_model_as_it_is_now(tmp_path: Path) -> None:
    contest, tree = _Contest(), _tree()
    champions = Champions("toy", Store(tmp_path / "s.sqlite"), contest, VALIDATION, candidates=2)
    await champions.resume(tree, 0)
    await champions.challenge(tree, 1)
    contest.graded.clear()
    await champions.refresh()
    assert contest.graded == ["seed", "good"]


@pytest.mark.parametrize("down", ["lucky/first", "lucky/fresh", "good/fresh", "good/all"])
async def test_who_could_not_be_compared_may_challenge_later(tmp_path: Path, down: str) -> None:
    contest, tree = _Contest((down,)), _tree()
    champions = Champions("toy", Store(tmp_path / "s.sqlite"), contest, VALIDATION, candidates=2)
    await champions.resume(tree, 0)
    await champions.challenge(tree, 1)
    contest.down = ()
    await champions.challenge(tree, 2)
    await champions.challenge(tree, 3)
    assert champions.best.validation.mean == pytest.approx(7 / 8)  # better
    assert {name for name, _ in contest.raced} == set(SOLVED) - {"seed"}
    again = Champions("toy", Store(tmp_path / "s.sqlite"), _Contest(), VALIDATION, candidates=2)
    await again.resume(tree, 3)
    assert again.best == champions.best


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
        "from scripts.evaluator import DatasetType",
    ]
    assert WorkflowState("toy", graph, prompts, state.operators).hash == state.hash
