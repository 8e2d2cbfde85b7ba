"""The best workflow: who challenges it, what is stored, what a resume knows, and what is handed over at the end."""

import ast
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aflow_verl.errors import BudgetExhausted, InfrastructureError
from aflow_verl.evaluation.best_workflow import (
    BestWorkflow,
    Champion,
    compare_on_heldout,
    write_result,
    write_workflow,
)
from aflow_verl.search.store import Store
from aflow_verl.types import Evaluation, Grade, Problem
from aflow_verl.workflow.edits import EditSpace, apply_edit
from aflow_verl.workflow.graph_source import with_header
from aflow_verl.workflow.state import WorkflowState, seed_state

VALIDATION = tuple(Problem(f"v{k}", "", "") for k in range(64))
FRESH = tuple(Problem(f"t{k}", "", "") for k in range(100))
SOLVED = {"seed": 30, "luck": 33, "lead": 39, "good": 48, "better": 60, "worse": 10}
"""Of the first 64 problems; problem k is solved if k is below it."""


def workflow(name: str) -> WorkflowState:
    return WorkflowState("toy", f"class Workflow:\n    name = {name!r}\n", "", ("Custom",))


def named(*names: str) -> list[tuple[str, WorkflowState]]:
    return [(name, workflow(name)) for name in names]


class Table:
    """Grades from ``SOLVED``; workflows in ``down`` can't be graded."""

    def __init__(self, *down: str, error: type[Exception] = InfrastructureError) -> None:
        self.down = down
        self.error = error
        self.graded: dict[str, list[str]] = {}

    async def evaluate(self, state: WorkflowState, problems: Sequence[Problem]) -> Evaluation:
        name = next(name for name in SOLVED if repr(name) in state.code)
        if name in self.down:
            raise self.error("down")
        self.graded.setdefault(name, []).extend(problem.id for problem in problems)
        return Evaluation(tuple(Grade(p.id, float(int(p.id[1:]) < SOLVED[name])) for p in problems))


async def opened(
    path: Path, table: Table, step: int = 0, fresh: tuple[Problem, ...] = (), key: str = "best/toy"
) -> BestWorkflow:
    best = BestWorkflow(key, Store(path / "s.sqlite"), table, VALIDATION, fresh)
    await best.resume("seed", workflow("seed"), workflow, step)
    return best


async def test_the_best_of_those_who_challenge_wins(tmp_path: Path) -> None:
    best = await opened(tmp_path, Table())
    assert best.best is best.seed
    assert best.verdict() == "no workflow beat the seed (0 challengers, 64 problems)"
    assert not await best.challenge(named("worse"), 1, limit=8)
    assert await best.challenge(named("good", "better"), 2, limit=8)
    assert best.best.node_id == "better"
    assert best.best.validation.mean == pytest.approx(60 / 64)
    assert best.verdict().startswith("best workflow: +")
    assert best.verdict().endswith("over the seed (3 challengers, 64 problems)")


async def test_a_gain_that_may_be_luck_is_told_as_one(tmp_path: Path) -> None:
    best = await opened(tmp_path, Table())
    assert await best.challenge(named("lead"), 1, limit=8)
    assert re.fullmatch(
        r"no workflow beat the seed beyond doubt; the best workflow: \+\d+\.\d points \[-\d+\.\d, \+\d+\.\d\] "
        r"over the seed \(1 challengers, 64 problems\)",
        best.verdict(0.9999),
    )


async def test_only_the_first_ones_that_have_not_challenged_yet_do(tmp_path: Path) -> None:
    table = Table()
    best = await opened(tmp_path, table)
    ranking = named("seed", "worse", "luck", "good")
    await best.challenge(ranking, 1, limit=1)
    assert set(table.graded) == {"seed", "worse"}
    table.graded.clear()
    await best.challenge(ranking, 2, limit=1)
    assert set(table.graded) == {"seed", "luck"}
    await best.challenge(ranking, 3, limit=5)
    assert best.best.node_id == "good"
    table.graded.clear()
    assert not await best.challenge(ranking, 4, limit=5)
    assert not table.graded


async def test_one_without_hope_is_given_up(tmp_path: Path) -> None:
    table = Table()
    best = await opened(tmp_path, table)
    await best.challenge(named("worse"), 1, limit=1)
    assert len(table.graded["worse"]) == 16


async def test_challengers_are_tried_on_fresh_problems_and_reported_on_validation(tmp_path: Path) -> None:
    table = Table()
    best = await opened(tmp_path, table, fresh=FRESH)
    await best.challenge(named("good"), 1, limit=1)
    assert {problem[0] for problem in table.graded["good"][:100]} == {"t"}
    assert sorted(table.graded["good"][100:]) == sorted(problem.id for problem in VALIDATION)
    assert best.best.validation.n == 64
    assert best.verdict().endswith("(1 challengers, 100 problems)")


async def test_a_resume_forgets_later_challenges(tmp_path: Path) -> None:
    first = await opened(tmp_path, Table())
    await first.challenge(named("good"), 1, limit=1)
    await first.challenge(named("better"), 2, limit=1)
    told = first.verdict()
    assert first.best.node_id == "better"

    table = Table()
    same = await opened(tmp_path, table, step=2)
    assert (same.best, same.verdict()) == (first.best, told)
    assert set(table.graded) == {"seed", "better"}
    earlier = await opened(tmp_path, Table(), step=1)
    assert earlier.best.node_id == "good"
    assert await earlier.challenge(named("better"), 2, limit=1)
    assert earlier.verdict() == told
    assert (await opened(tmp_path, Table(), step=0)).best.node_id == "seed"


async def test_benchmarks_that_share_a_store_are_apart(tmp_path: Path) -> None:
    await (await opened(tmp_path, Table())).challenge(named("good"), 1, limit=1)
    assert (await opened(tmp_path, Table(), step=1, key="best/other")).best.node_id == "seed"


@pytest.mark.parametrize("down", ["good", "seed"])
async def test_who_could_not_be_graded_may_challenge_later(tmp_path: Path, down: str) -> None:
    table = Table()
    best = await opened(tmp_path, table)
    table.down = (down,)
    assert not await best.challenge(named("worse", "good"), 1, limit=2)
    table.down = ()
    assert await best.challenge(named("worse", "good"), 2, limit=2)
    assert best.best.node_id == "good"
    assert len(table.graded["worse"]) == 16  # once


async def test_a_winner_that_can_no_longer_be_graded_may_challenge_later(tmp_path: Path) -> None:
    class Falling(Table):
        async def evaluate(self, state: WorkflowState, problems: Sequence[Problem]) -> Evaluation:
            if problems is VALIDATION and state == workflow("good") and self.down:
                raise InfrastructureError("down")
            return await super().evaluate(state, problems)

    table = Falling()
    best = await opened(tmp_path, table, fresh=FRESH)
    table.down = ("nothing else",)
    assert not await best.challenge(named("good"), 1, limit=1)
    assert best.best is best.seed
    table.down = ()
    assert await best.challenge(named("good"), 2, limit=1)


async def test_a_spent_budget_ends_the_challenge(tmp_path: Path) -> None:
    best = await opened(tmp_path, table := Table(error=BudgetExhausted))
    table.down = ("good",)
    with pytest.raises(BudgetExhausted):
        await best.challenge(named("good"), 1, limit=1)


async def test_a_refresh_grades_seed_and_best_with_the_model_as_it_is_now(tmp_path: Path) -> None:
    best = await opened(tmp_path, table := Table())
    await best.challenge(named("good"), 1, limit=1)
    table.graded.clear()
    await best.refresh()
    assert {name: len(ids) for name, ids in table.graded.items()} == {"seed": 64, "good": 64}


# ---- the end of a run -----------------------------------------------------------------------------------------------


async def champion(name: str) -> Champion:
    return Champion(name, workflow(name), await Table().evaluate(workflow(name), VALIDATION))


async def compared(best: str) -> dict[str, Any]:
    return await compare_on_heldout(await champion("seed"), await champion(best), Table().evaluate, VALIDATION, 0.95)


async def test_held_out_problems_have_the_last_word() -> None:
    better, luck, same, worse = [await compared(name) for name in ("better", "luck", "seed", "worse")]
    assert better["gain"]["mean"] == pytest.approx(30 / 64)
    assert [found["hand_back"] for found in (better, luck, same, worse)] == ["best", "best", "seed", "seed"]
    assert better["words"].startswith("best workflow: +46.9 points [")
    assert luck["words"].startswith("no workflow beat the seed beyond doubt; the best workflow: +4.7 points [-")
    assert same["words"] == "no workflow beat the seed"
    assert worse["words"].startswith("no workflow beat the seed: the best workflow is below it, -31.2 points [")
    assert json.loads(json.dumps(worse)) == worse


@pytest.mark.parametrize("name", ["better", "seed", "worse"])
async def test_the_seed_lies_beside_a_workflow_that_is_below_it(tmp_path: Path, name: str) -> None:
    result = await compared(name)
    write_result(tmp_path / "best", await champion("seed"), await champion(name), result)
    assert json.loads((tmp_path / "best" / "score.json").read_text()) == result
    assert (tmp_path / "best" / "seed").exists() == (name == "worse")
    if name == "worse":
        assert repr("seed") in (tmp_path / "best" / "seed" / "graph.py").read_text()
        score = json.loads((tmp_path / "best" / "seed" / "score.json").read_text())
        assert score["heldout"]["mean"] == pytest.approx(30 / 64)


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
