"""One training step on paper: from a prompt to advantages, critic targets, promises and the next choice.

    python examples/training_step.py

Everything but the models is the library's own. A scripted policy answers three sessions of one row, a table says how
many of eight problems each workflow solves, and the critic is one that has learned its targets exactly. The numbers are
those of docs/training_step.md.
"""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from rich import box
from rich.console import Console
from rich.table import Table

from aflow_verl.config import AflowConfig, BenchmarkConfig, EnvConfig, SearchConfig, StartConfig
from aflow_verl.env.actions import EditFormat
from aflow_verl.env.dataset import make_row
from aflow_verl.env.shared_search import SharedSearch, StepShape
from aflow_verl.env.workflow_env import EnvSettings, WorkflowEnv
from aflow_verl.jsonl import JsonLines
from aflow_verl.search.catalog import selector_named
from aflow_verl.search.qvalues import QSnapshot
from aflow_verl.search.selection import Choice, select
from aflow_verl.search.store import Store
from aflow_verl.search.targets import RowKey, RowTarget
from aflow_verl.types import Evaluation, Grade, Problem
from aflow_verl.workflow.edits import EditSpace
from aflow_verl.workflow.render import describe
from aflow_verl.workflow.state import WorkflowState, seed_state
from trainer.gigpo import gigpo

OPERATORS = ("Custom", "Programmer")
PROBLEMS = tuple(Problem(f"p{k}", f"How many letters are in word {k}?", "") for k in range(8))
SOLVED = {"Custom": 4, "Programmer": 6, "Programmer > Custom check": 8, "Custom answer only": 3}
"""Workflow -> problems that it solves, the first so many of the eight."""
SCRIPT = (
    ("replace:0:Programmer", "insert:1:Custom:check"),  # session 0: +2 problems, then +2 more
    ("instruct:0:answer_only", "replace:0:Programmer"),  # session 1: -1, and then it goes back to the seed
    (None, "replace:0:Programmer"),  # session 2: an unreadable reply, then +2
)
"""Session -> the edit of each step; None is a reply that is no label."""


@dataclass(frozen=True)
class Row:
    """One training row and everything that was made of it."""

    key: RowKey
    prompt: str
    workflow: str
    action: str
    reward: float
    anchor: str
    episode_return: float
    target: RowTarget | None = None
    advantages: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """A^E, A^S, A."""


@dataclass(frozen=True)
class TrainingStep:
    """A whole step."""

    rows: tuple[Row, ...]
    believed: dict[str, float]
    """Workflow -> X after the merge."""
    promises: dict[str, float]
    """Workflow -> V of a critic that has learned its targets."""
    choices: dict[str, Choice]
    """What the selector says without Q, with a critic that has earned nothing, and with one that is fully trusted."""


def grade(state: WorkflowState) -> Evaluation:
    solved = SOLVED[describe(state)]
    return Evaluation(tuple(Grade(p.id, float(k < solved), str(k)) for k, p in enumerate(PROBLEMS)))


async def play_step() -> TrainingStep:
    """Play, merge and estimate."""
    search = SearchConfig(selector="ucb", rl_weight=0.5)
    env = EnvConfig(steps=2, problems=8, operators=OPERATORS, start=StartConfig(1.0, 0.0, 0.0))
    ours = AflowConfig(benchmark=(BenchmarkConfig("simulated"),), env=env, search=search)
    actions = EditFormat(EditSpace(OPERATORS, samples=()), "Count letters.")
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "tree.sqlite")
        shared = SharedSearch(
            store,
            JsonLines(Path(folder) / "choices.jsonl"),
            {"simulated": seed_state("simulated", OPERATORS)},
            {"simulated": actions},
            {"simulated": PROBLEMS},
            ours,
            StepShape(rows=1, sessions=3, gamma=0.95),
        )
        shared.resume(0)
        rows = [row for session in range(3) for row in await _play(shared, actions, ours, session)]
        _, targets, _ = shared.merge(1, [("row", session) for session in range(3)])
        store.close()
    tree = shared.trees["simulated"]
    rows = estimated([replace(row, target=targets[row.key]) for row in rows])
    name = {node.id: describe(node.state) for node in tree}
    centre = shared.centre("simulated")
    learned = {row.workflow: row.target.v + centre for row in rows if row.target is not None}
    values = {node.id: learned.get(name[node.id], tree.x(node.id)) for node in tree}
    critics = {
        "without Q": None,
        "a critic that has earned no say": QSnapshot(1, values),
        "a critic at full confidence": QSnapshot(1, values, node_confidence=1.0),
    }
    rng = np.random.default_rng(0)  # ucb draws nothing
    choices = {label: select(tree, q, search, selector_named("ucb"), rng) for label, q in critics.items()}
    return TrainingStep(
        tuple(rows),
        {name[node_id]: x for node_id, x in tree.estimates().x.items()},
        {name[node_id]: v for node_id, v in values.items()},
        choices,
    )


async def _play(shared: SharedSearch, actions: EditFormat, ours: AflowConfig, session: int) -> list[Row]:
    """One episode of the row, handed in to the shared search."""
    start = shared.row_start(make_row(ours.seed, ("simulated",), ours.env.start, 0), 1)
    begun = shared.begin(start, "Count letters.", [grade(state) for state in shared.to_grade(start)])

    async def evaluate(state: WorkflowState) -> Evaluation:
        return grade(state)

    env = WorkflowEnv(begun, session, EnvSettings(2, 0.1, "state", 3), ours.search, actions, evaluate, ours.seed)
    played = []
    for action in SCRIPT[session]:
        seen = await env.observe()
        state = next(node.state for node in env.tree if node.id == seen.node_id)
        reply = "?" if action is None else actions.reply_of(state, action)
        made = await env.step(reply or "?", log_prob=None)
        prompt = seen.messages[-1]["content"]
        key = ("row", session, len(played))
        played.append(Row(key, prompt, describe(state), action or "unreadable", made.reward, seen.anchor, 0.0))
    episode = env.episode()
    shared.finish("row", episode)
    return [replace(row, episode_return=episode.episode_return) for row in played]


def estimated(rows: list[Row]) -> list[Row]:
    """The rows with their advantages."""
    targets = [row.target for row in rows if row.target is not None]
    anchors = {anchor: k for k, anchor in enumerate(dict.fromkeys(row.anchor for row in rows))}
    result = gigpo(
        [row.reward for row in rows],
        [0] * len(rows),
        [row.key[1] for row in rows],
        [row.key[2] for row in rows],
        [anchors[row.anchor] for row in rows],
        torch.ones(len(rows), 1),
        step_returns_B=[target.step_return for target in targets],
        episode_returns_B=[row.episode_return for row in rows],
        invalid_B=[target.invalid for target in targets],
        neutral_B=[target.neutral for target in targets],
    )
    columns = zip(
        result.episode_advantage_B.tolist(),
        result.step_advantage_B.tolist(),
        result.advantages_BT[:, 0].tolist(),
        strict=True,
    )
    return [replace(row, advantages=found) for row, found in zip(rows, columns, strict=True)]


def main() -> None:
    step = asyncio.run(play_step())
    console = Console(width=120)
    console.print("The first prompt\n", style="bold")
    console.print(step.rows[0].prompt, markup=False)
    table = Table("session", "t", "workflow", "edit", "r", "R(tau)", "R_t", "A^E", "A^S", "A", "q", "v", box=box.SIMPLE)
    for row in step.rows:
        assert row.target is not None
        numbers = (row.reward, row.episode_return, row.target.step_return, *row.advantages, row.target.q, row.target.v)
        cells = [f"{number:+.3f}" for number in numbers]
        table.add_row(str(row.key[1]), str(row.key[2]), row.workflow, row.action, *cells)
    console.print(table)
    nodes = Table("workflow", "X", "V", box=box.SIMPLE)
    for name, x in step.believed.items():
        nodes.add_row(name, f"{x:.3f}", f"{step.promises[name]:.3f}")
    console.print(nodes)
    for label, choice in step.choices.items():
        scores = ", ".join(f"{score:.3f}" for score in choice.score_K)
        console.print(f"{label}: scores {scores}; alpha {choice.alpha_effective:.2f}")


if __name__ == "__main__":
    main()
