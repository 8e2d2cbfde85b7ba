"""The best workflow: two stages, fresh problems for the second, the same after a resume."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from aflow_verl.env.champion import Champions
from aflow_verl.search.store import Store
from aflow_verl.search.tree import Tree
from aflow_verl.types import Evaluation, Grade, Problem
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
