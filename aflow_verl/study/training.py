"""Training steps in a world: its policy edits workflows through the real search, environment and estimator.

Nothing of the loop is copied: rows are planned and merged by ``SharedSearch``, edited in ``WorkflowEnv``, and their
advantages are those of ``trainer.gigpo``. Only the policy (fixed odds) and the executor (the world) are simulated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray

from aflow_verl.config import AflowConfig, BenchmarkConfig, EnvConfig, GigpoConfig, SearchConfig, StartConfig
from aflow_verl.env.dataset import make_row
from aflow_verl.env.episode import EpisodeStart
from aflow_verl.env.seeds import generator
from aflow_verl.env.shared_search import SharedSearch, StepShape
from aflow_verl.env.workflow_env import EnvSettings, WorkflowEnv
from aflow_verl.evaluation.best_workflow import BestWorkflow
from aflow_verl.jsonl import JsonLines
from aflow_verl.search.store import Store
from aflow_verl.search.targets import RowTarget
from aflow_verl.search.tree import Tree
from aflow_verl.study.world import INVALID, NAME, STOP, Truth, World, WorldFormat
from aflow_verl.types import Evaluation
from aflow_verl.workflow.state import WorkflowState
from trainer.gigpo import gigpo

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Shape:
    """How large the steps are; the search is without Q, which nothing here has trained."""

    problems: int = 16
    """Of a row."""
    steps: int = 8
    rows: int = 8
    """Of a step."""
    sessions: int = 8
    """Episodes of a row."""
    edits: int = 4
    """Of an episode, at most."""
    gamma: float = 0.95
    penalty: float = 0.1
    """Of an invalid reply."""
    candidates: int = 2
    """Workflows that challenge the best one after a step."""
    start: StartConfig = field(default_factory=StartConfig)
    gigpo: GigpoConfig = field(default_factory=GigpoConfig)
    search: SearchConfig = field(default_factory=lambda: SearchConfig(rl_weight=0.0))


@dataclass(frozen=True, slots=True)
class Row:
    """One decision of the policy, and what came of it."""

    step: int
    row: int
    """Of the dataset: the group of episodes."""
    session: int
    t: int
    kind: str
    """The reply."""
    start: str
    """Of the row: ``snapshot``, ``root`` or ``random``."""
    node_id: str
    """The workflow that was edited."""
    child_id: str | None
    anchor: str
    shown: float
    """The score that the prompt showed."""
    told: float
    """Mean gain of the edits of this workflow that the prompt told of; 0 where it told of none."""
    reward: float
    episode_return: float
    gain: float
    """True gain of the edit; 0 where nothing was made."""
    target: RowTarget

    @property
    def valid(self) -> bool:
        """Whether an edit was made."""
        return self.kind not in (INVALID, STOP)


@dataclass(frozen=True)
class Simulation:
    """A few training steps and the tree that they left."""

    truth: Truth
    shape: Shape
    rows: tuple[Row, ...]
    tree: Tree
    centre: float
    """What the critic's targets are counted from."""
    confirmed: str
    """The node that ``BestWorkflow`` delivers."""


@dataclass(frozen=True, slots=True)
class Advantages:
    """Of N rows, in their order."""

    episode_N: Floats
    """A^E."""
    step_N: Floats
    """A^S."""
    total_N: Floats
    """A = A^E + omega A^S."""


@dataclass(frozen=True, slots=True)
class _Decision:
    kind: str
    node_id: str
    anchor: str
    shown: float
    told: float


def simulate(world: World, shape: Shape, seed: int) -> Simulation:
    """All steps of one seed; the store lives in a temporary folder."""
    return asyncio.run(_simulate(world, shape, seed))


async def _simulate(world: World, shape: Shape, seed: int) -> Simulation:
    truth = Truth(world, seed)
    actions = WorldFormat(truth)
    ours = AflowConfig(
        benchmark=(BenchmarkConfig("simulated"),),
        seed=seed,
        env=EnvConfig(steps=shape.edits, problems=shape.problems, start=shape.start, invalid_penalty=shape.penalty),
        search=shape.search,
    )
    rows: list[Row] = []
    with TemporaryDirectory() as folder, Store(Path(folder) / "store.sqlite") as store:
        shared = SharedSearch(
            store,
            JsonLines(Path(folder) / "choices.jsonl"),
            {NAME: truth.root},
            {NAME: actions},
            {NAME: truth.train},
            ours,
            StepShape(shape.rows, shape.sessions, shape.gamma),
        )
        shared.resume(0)
        best = BestWorkflow("best", store, truth, truth.validation)
        await best.resume(truth.root.hash, truth.root, lambda node_id: shared.trees[NAME][node_id].state, 0)
        for step in range(1, shape.steps + 1):
            rows += await _step(shared, store, truth, actions, ours, shape, step)
            ranked = [(node.id, node.state) for node in shared.trees[NAME].ranked()]
            await best.challenge(ranked, step, shape.candidates)
        return Simulation(truth, shape, tuple(rows), shared.trees[NAME], shared.centre(NAME), best.best.node_id)


async def _step(
    shared: SharedSearch,
    store: Store,
    truth: Truth,
    actions: WorldFormat,
    ours: AflowConfig,
    shape: Shape,
    step: int,
) -> list[Row]:
    settings = EnvSettings(shape.edits, shape.penalty, ours.env.anchor, ours.env.max_logs)
    made = []
    with store.together():  # one write for the episodes of a step
        for k in range(shape.rows):
            row = make_row(ours.seed, (NAME,), shape.start, (step - 1) * shape.rows + k)
            planned = shared.row_start(row, step)
            problem_ids = tuple(planned.weights)
            start = shared.begin(planned, "", [truth.grade(state, problem_ids) for state in shared.to_grade(planned)])
            for session in range(shape.sessions):
                env = _episode(start, session, settings, ours, actions, truth)
                rng = generator(ours.seed, "policy", step, row.index, session)
                decisions = await _play(env, actions, truth.world, rng)
                episode = env.episode()
                shared.finish(str(row.index), episode)
                made.append((row, session, decisions, episode))
    _, targets, _ = shared.merge(step, [(str(row.index), session) for row, session, _, _ in made])
    return [
        Row(
            step=step,
            row=row.index,
            session=session,
            t=t,
            kind=decision.kind,
            start=row.start,
            node_id=decision.node_id,
            child_id=child,
            anchor=decision.anchor,
            shown=decision.shown,
            told=decision.told,
            reward=episode.rewards[t],
            episode_return=episode.episode_return,
            gain=0.0 if child is None else truth.score(child) - truth.score(decision.node_id),
            target=targets[str(row.index), session, t],
        )
        for row, session, decisions, episode in made
        for t, (decision, child) in enumerate(zip(decisions, episode.children, strict=True))
    ]


def _episode(
    start: EpisodeStart, session: int, settings: EnvSettings, ours: AflowConfig, actions: WorldFormat, truth: Truth
) -> WorkflowEnv:
    problem_ids = tuple(start.weights)

    async def evaluate(state: WorkflowState) -> Evaluation:
        return truth.grade(state, problem_ids)

    return WorkflowEnv(start, session, settings, ours.search, actions, evaluate, ours.seed)


async def _play(env: WorkflowEnv, actions: WorldFormat, world: World, rng: np.random.Generator) -> list[_Decision]:
    names, odds = list(world.odds), list(world.odds.values())
    decisions = []
    while not env.done:
        seen = await env.observe()
        told = [float(line.split()[0]) for line in actions.shown.experience]
        kind = names[int(rng.choice(len(names), p=odds))]
        decisions.append(_Decision(kind, seen.node_id, seen.anchor, seen.shown, sum(told) / len(told) if told else 0.0))
        await env.step(kind, log_prob=None)
    return decisions


def advantages(rows: Sequence[Row], shape: Shape) -> Advantages:
    """``trainer.gigpo`` on the rows, all steps as one batch: groups never cross steps."""
    ids: dict[str, int] = {}
    result = gigpo(
        [row.reward for row in rows],
        [row.row for row in rows],
        [row.session for row in rows],
        [row.t for row in rows],
        [ids.setdefault(row.anchor, len(ids)) for row in rows],
        torch.ones(len(rows), 1),
        step_returns_B=[row.target.step_return for row in rows],
        episode_returns_B=[row.episode_return for row in rows],
        invalid_B=[row.target.invalid for row in rows],
        neutral_B=[row.target.neutral for row in rows],
        gamma=shape.gamma,
        omega=shape.gigpo.omega,
        norm=shape.gigpo.norm,
        singletons=shape.gigpo.singletons,
    )
    return Advantages(result.episode_advantage_B.numpy(), result.step_advantage_B.numpy(), result.advantage_B.numpy())
