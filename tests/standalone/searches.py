"""Searches in virtual time: grades are a table, every evaluation takes a second, and nothing waits for the clock."""

from __future__ import annotations

import asyncio
import selectors
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from aflow_verl.config import ScreenConfig, SearchConfig, StandaloneConfig
from aflow_verl.env.actions import NO_CONTEXT, Action, Context, Offer, Reply
from aflow_verl.evaluation.best_workflow import BestWorkflow
from aflow_verl.models.landscape import uniform
from aflow_verl.search.tree import Tree
from aflow_verl.standalone.challenges import Challenges
from aflow_verl.standalone.history import RoundEntry
from aflow_verl.standalone.loop import Loop
from aflow_verl.standalone.rounds import Plan, Rounds
from aflow_verl.types import Evaluation, Grade, Message, Problem
from aflow_verl.workflow.state import WorkflowState

T = TypeVar("T")
VALIDATION = tuple(Problem(f"v{k}", f"validation {k}", "") for k in range(24))
FRESH = tuple(Problem(f"t{k}", f"fresh {k}", "") for k in range(8))


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time passes only where everybody waits for it, and then at once."""

    def __init__(self) -> None:
        super().__init__(_Impatient(self))
        self.now = 0.0

    def time(self) -> float:
        return self.now


class _Impatient(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        events = super().select(0)
        if not events and timeout:
            self._loop.now += timeout
        return events


def in_virtual_time(work: Callable[[], Awaitable[T]]) -> tuple[T, float]:
    """What it returns, and the seconds that it took."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        result = runner.run(work())  # type: ignore[arg-type]
        return result, runner.get_loop().time()


class Ladder:
    """Each edit adds its own gain, which the seed draws, to the chance of every problem. A first evaluation of a
    workflow takes ``seconds``; later ones are known."""

    def __init__(self, seed: int, seconds: float = 1.0) -> None:
        self._seed = seed
        self._seconds = seconds
        self._known: dict[tuple[str, str], float] = {}
        self.evaluated: list[str] = []
        self.graded: Counter[str] = Counter()
        self.broken: set[str] = set()

    async def evaluate(self, workflow: WorkflowState, problems: Sequence[Problem]) -> Evaluation:
        new = [p for p in problems if (workflow.hash, p.id) not in self._known]
        if new:
            self.evaluated.append(workflow.hash)
            self.graded[workflow.hash] += len(new)
            await asyncio.sleep(self._seconds)
        for problem in new:
            self._known[workflow.hash, problem.id] = self._grade(workflow, problem)
        return Evaluation(tuple(Grade(p.id, self._known[workflow.hash, p.id], calls=1) for p in problems))

    def level(self, workflow: WorkflowState) -> float:
        """Its true score."""
        return 0.3 + sum(0.1 * (uniform(self._seed, "gain", edit) - 0.4) for edit in workflow.history)

    def _grade(self, workflow: WorkflowState, problem: Problem) -> float:
        return float(uniform(self._seed, problem.prompt, workflow.hash) < self.level(workflow))

    async def dry_run(self, workflow: WorkflowState) -> str | None:
        return "NameError: of its own" if workflow.hash in self.broken else None


class Numbers:
    """Edits are numbers, and a workflow is the set of those that made it."""

    restricted = True

    def __init__(self, edits: int = 24) -> None:
        self._edits = tuple(map(str, range(edits)))

    def _left(self, state: WorkflowState, tried: frozenset[str]) -> tuple[str, ...]:
        return tuple(edit for edit in self._edits if edit not in tried and edit not in state.history)

    def offer(self, state: WorkflowState, tried: frozenset[str], context: Context = NO_CONTEXT) -> Offer:
        return Offer([], self._left(state, tried))

    async def read(self, state: WorkflowState, reply: str) -> Action:
        return Action(reply, workflow((*state.history, reply)))

    def can_expand(self, state: WorkflowState, tried: frozenset[str]) -> bool:
        return bool(self._left(state, tried))

    def reply_of(self, state: WorkflowState, key: str) -> str | None:
        return key


def workflow(history: tuple[str, ...] = ()) -> WorkflowState:
    return WorkflowState("toy", f"class Workflow:\n    edits = {sorted(history)}\n", "", ("Custom",), history=history)


class Memory:
    """A store of small things."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def get_meta(self, key: str, default: Any = None) -> Any:
        return self.values.get(key, default)

    def put_meta(self, key: str, value: Any) -> None:
        self.values[key] = value


class Ledger:
    """A history that outlives nothing."""

    def __init__(self) -> None:
        self.rounds: list[RoundEntry] = []
        self.deltas: list[Any] = []
        self.choices: list[dict[str, Any]] = []
        self.copies: list[int] = []

        self.kept: dict[str, Any] = {}

    def values(self) -> tuple[None, dict[str, str]]:
        return None, {}

    def waiting(self) -> dict[str, Any]:
        return self.kept

    def keep_values(self, q: Any, prompts: Any) -> None: ...

    async def keep_good_copy(self) -> None:
        self.copies.append(len(self.rounds))

    def next_numbers(self, rounds: int) -> list[int]:
        return list(range(len(self.rounds) + 1, rounds + 1))

    def commit(self, entry: RoundEntry, delta: Any, experience: Any, choice: dict[str, Any], waiting: Any) -> None:
        self.kept = waiting
        self.rounds.append(entry)
        self.deltas.append(delta)
        self.choices.append(choice)


class RandomEdits:
    """A legal edit at random; ``seconds``: how long it thinks."""

    def __init__(self, seed: int, seconds: float = 0.0) -> None:
        self._rng = np.random.default_rng(seed)
        self._seconds = seconds
        self.calls = 0

    async def ask(self, offer: Offer, draw: int) -> Reply:
        self.calls += 1
        await asyncio.sleep(self._seconds)
        assert offer.replies is not None
        return Reply(offer.replies[int(self._rng.integers(len(offer.replies)))])

    async def write(self, messages: Sequence[Message]) -> str:
        raise AssertionError


async def make_loop(contest: Any, ask: Any, history: Ledger, *, selector: str = "ucb", **more: Any) -> Loop:
    """A search of pipelines, ready to run."""
    tree = Tree.seed(workflow())
    validation = more.pop("validation", VALIDATION)
    best = BestWorkflow("challenges", Memory(), contest, validation, FRESH)
    await best.resume(tree.root_id, tree.root.state, lambda node_id: tree[node_id].state, 0)
    seed = more.pop("seed", 0)
    actions = Numbers(more.pop("edits", 24))
    critic = more.pop("critic", None)
    on_round, may_begin = more.pop("on_round", lambda entry: None), more.pop("may_begin", lambda: True)
    screen = more.pop("screen", ScreenConfig())
    search = SearchConfig(selector=selector, rl_weight=more.pop("rl_weight", 0.0), screen=screen)
    policy_step = None if critic is None else critic.weights_step
    plan = Plan(search, StandaloneConfig(**more), 3, seed, policy_step)
    rounds = Rounds(tree, history, contest, validation, actions, ask, plan, critic)  # type: ignore[arg-type]
    rounds.grading.add(tree.root_id, best.seed.validation)
    challenges = Challenges(best, rounds.tree, history.rounds)
    return Loop(rounds, history, challenges, plan, on_round=on_round, may_begin=may_begin)  # type: ignore[arg-type]
