"""An environment without models: scores are a table over pipelines."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import settings

from aflow_verl.config import SearchConfig
from aflow_verl.env.actions import ActionFormat, EditFormat
from aflow_verl.env.episode import EpisodeStart, Observation
from aflow_verl.env.workflow_env import EnvSettings, Value, WorkflowEnv
from aflow_verl.search.tree import Tree
from aflow_verl.types import Evaluation, Grade, Problem
from aflow_verl.workflow.edits import EditSpace, legal_edits
from aflow_verl.workflow.labels import labels
from aflow_verl.workflow.render import describe
from aflow_verl.workflow.state import WorkflowState, seed_state

settings.register_profile("no deadline", deadline=None)  # a busy machine must not fail a property
settings.load_profile("no deadline")

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
    """``make_env(evaluate, tree=..., steps=3, session=0, anchor="state", actions=..., selector="ucb", q=None)``: an
    episode on the root of ``tree``, whose four problems are graded already."""

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
        weights: Mapping[str, float] | None = None,
        experience: Sequence[str] = (),
        **search: Any,
    ) -> WorkflowEnv:
        tree = tree or Tree.seed(root)
        graded = _now(evaluate(tree.root.state))
        overlay = tree.overlay()
        overlay.add_grades(tree.root_id, {grade.problem_id: grade.score for grade in graded.grades})
        start = EpisodeStart(
            benchmark="toy",
            task="Solve it.",
            start="snapshot",
            step=1,
            row=7,
            tree=overlay.frozen().alone(tree.root_id, tried=True),
            q=q,
            centre=0.5,
            problems=PROBLEMS,
            weights=weights or dict.fromkeys((problem.id for problem in PROBLEMS), 1.0),
            graded=graded,
            experience=tuple(experience),
        )
        rules = EnvSettings(steps=steps, invalid_penalty=0.1, anchor=anchor, max_logs=2)
        shown = actions or EditFormat(EditSpace(operators=OPERATORS), "Solve it.")
        return WorkflowEnv(start, session, rules, SearchConfig(**search), shown, evaluate, 0, value)

    return make


def _now(work: Any) -> Any:
    """The result of a coroutine that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits")


@pytest.fixture
def now() -> Callable[[Any], Any]:
    return _now


@pytest.fixture
def table() -> type[Table]:
    return Table


@pytest.fixture
def label() -> Callable[[Observation, str, WorkflowState], str]:
    """``label(observation, key, state)``: the reply that takes an edit of the ``edit`` format."""

    def found(observation: Observation, key: str, state: WorkflowState) -> str:
        edits = legal_edits(state, EditSpace())
        return labels(len(edits))[[edit.key for edit in edits].index(key)]

    return found
