"""An environment without models: scores are a table over pipelines."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from aflow_verl.config import SearchConfig
from aflow_verl.env.actions import ActionFormat, EditFormat
from aflow_verl.env.episode import EpisodeStart
from aflow_verl.env.workflow_env import EnvSettings, Value, WorkflowEnv
from aflow_verl.search.tree import Tree
from aflow_verl.types import Evaluation, Grade, Problem
from aflow_verl.workflow.edits import EditSpace
from aflow_verl.workflow.render import describe
from aflow_verl.workflow.state import WorkflowState, seed_state

OPERATORS = ("Custom", "ScEnsemble", "Programmer")
PROBLEMS = tuple(Problem(f"p{k}", f"question {k}", reference="secret") for k in range(4))


class Table:
    """Grades of a workflow: the first ``n`` of four problems solved, by its description; unknown ones solve 1."""

    def __init__(self, solved: dict[str, int], broken: tuple[str, ...] = ()) -> None:
        self.solved = solved
        self.broken = broken
        self.asked: list[str] = []

    async def __call__(self, state: WorkflowState) -> Evaluation:
        name = describe(state)
        self.asked.append(name)
        if name in self.broken:
            return Evaluation(tuple(Grade(p.id, 0.0, error="it broke") for p in PROBLEMS))
        count = self.solved.get(name, 1)
        return Evaluation(tuple(Grade(p.id, float(k < count), answer="x") for k, p in enumerate(PROBLEMS)))


@pytest.fixture
def root() -> WorkflowState:
    return seed_state("toy", OPERATORS)


@pytest.fixture
def make_env(root: WorkflowState) -> Callable[..., WorkflowEnv]:
    """``make_env(evaluate, tree=..., steps=3, session=0, anchor="state", actions=..., selector="puct", q=None)``."""

    def make(
        evaluate: Callable[[WorkflowState], Awaitable[Evaluation]],
        *,
        tree: Tree | None = None,
        steps: int = 3,
        session: int = 0,
        anchor: str = "state",
        q: Any = None,
        actions: ActionFormat | None = None,
        value: Value | None = None,
        **search: Any,
    ) -> WorkflowEnv:
        start = EpisodeStart("toy", "Solve it.", "snapshot", 1, 7, tree or Tree.seed(root), q, PROBLEMS)
        settings = EnvSettings(steps=steps, invalid_penalty=0.1, gamma=0.9, anchor=anchor, max_logs=2)
        shown = actions or EditFormat(EditSpace(operators=OPERATORS), "Solve it.")
        return WorkflowEnv(start, session, settings, SearchConfig(**search), shown, evaluate, 0, value)

    return make


@pytest.fixture
def table() -> type[Table]:
    return Table
