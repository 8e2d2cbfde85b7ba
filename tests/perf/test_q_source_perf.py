"""Where the values of new workflows come from: inherited (``q_source: snapshot``) or asked for (``server``)."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoConfig

from aflow_verl.config import SearchConfig
from aflow_verl.critic.batching import BatchingScorer
from aflow_verl.critic.loading import new_critic
from aflow_verl.critic.scorer import CriticScorer, Scores
from aflow_verl.search.catalog import select
from aflow_verl.search.qvalues import QSnapshot, QTable, ScoreGroup
from aflow_verl.search.selection import Choice
from aflow_verl.search.tree import Overlay, Tree
from aflow_verl.workflow.state import WorkflowState

pytestmark = pytest.mark.perf

SESSIONS = 64
"""Episodes that ask at one time, each for the workflow that it has just made."""
PROMPT_TOKENS = 300
OLD, NEW = 5_000, 8
ROUNDS = 3
MIN_RATIO = 1.3
"""On two busy cores; the figure is printed."""


@pytest.fixture(scope="module")
def critic(tiny_policy: Path) -> CriticScorer:
    torch.manual_seed(0)
    return CriticScorer(new_critic(AutoConfig.from_pretrained(tiny_policy)), weights_step=1)


def requests(node_ids: Sequence[str], seed: int) -> list[list[ScoreGroup]]:
    """As an episode asks: the new node's own prompt for V, its parent's prompt and the reply for Q."""
    draw = random.Random(seed)

    def prompt() -> tuple[int, ...]:
        return tuple(draw.randrange(3, 250) for _ in range(PROMPT_TOKENS + draw.randrange(-30, 31)))

    parents = [prompt() for _ in range(4)]  # sessions of a group edit the same few workflows
    return [
        [ScoreGroup(prompt(), i), ScoreGroup(parents[k % len(parents)], None, ((i, (20 + k % 30, 2)),))]
        for k, i in enumerate(node_ids)
    ]


def best_of(rounds: int, work: Callable[[], Awaitable[list[Scores]]]) -> tuple[float, list[Scores]]:
    found = []
    for _ in range(rounds):
        started = time.perf_counter()
        scores = asyncio.run(work())  # type: ignore[arg-type]
        found.append((time.perf_counter() - started, scores))
    return min(found, key=lambda pair: pair[0])


def test_nodes_a_second_on_demand(critic: CriticScorer) -> None:
    asked = requests([f"n{k}" for k in range(SESSIONS)], seed=0)

    async def together() -> list[Scores]:
        scorer = BatchingScorer(critic)
        return list(await asyncio.gather(*(scorer.score(groups) for groups in asked)))

    async def one_by_one() -> list[Scores]:
        return [critic.score(groups) for groups in asked]

    slow, alone = best_of(ROUNDS, one_by_one)
    fast, batched = best_of(ROUNDS, together)
    for a, b in zip(alone, batched, strict=True):
        assert b.v == pytest.approx(a.v, abs=1e-4)
        assert b.q == pytest.approx(a.q, abs=1e-4)
    print(
        f"\nvalues on demand, {SESSIONS} sessions, prompts of {PROMPT_TOKENS} tokens, tiny model: "
        f"{SESSIONS / fast:.0f} nodes/s batched, {SESSIONS / slow:.0f} nodes/s one by one, ratio {slow / fast:.1f}"
    )
    assert slow / fast >= MIN_RATIO


def _state(number: int) -> WorkflowState:
    return WorkflowState("toy", f"class Workflow:\n    number = {number}\n", "", ("Custom",))


def _tree() -> tuple[Tree, QSnapshot]:
    """A shared tree and the values of its last export."""
    rng = np.random.default_rng(0)
    live = Tree.seed(_state(0), {"p": 0.5}).overlay()
    ids = [live.root_id]
    for number in range(1, OLD):
        parent = ids[int(rng.integers(max(1, len(ids) // 8)))]
        score = 0.5 * float(rng.random() < 0.5)
        ids.append(live.add_child(parent, _state(number), "edit", {"p": score}, logprob=-1.0).id)
        live.visit(parent)
    v_N = rng.normal(size=OLD) * 0.1
    return live.frozen(), QSnapshot(1, QTable(ids, v_N, v_N, np.ones(OLD)))


def _with_new_nodes(tree: Tree) -> tuple[Overlay, list[str]]:
    """An episode that has edited the root several times."""
    overlay = tree.overlay()
    solved = {f"p{k}": 1.0 for k in range(8)}  # so that they are among what every selector compares
    made = [overlay.add_child(tree.root_id, _state(OLD + k), f"e{k}", solved, logprob=-0.5) for k in range(NEW)]
    return overlay, [node.id for node in made]


@pytest.mark.parametrize("selector", ["puct", "soft_mixed"])
def test_a_selection_with_either_source(selector: str, critic: CriticScorer) -> None:
    tree, q = _tree()
    settings = SearchConfig(selector=selector)
    timings: dict[str, list[float]] = {"inherited": [], "extended": [], "asked": []}
    choices: dict[str, Choice] = {}

    def chosen(name: str, overlay: Overlay, snapshot: Callable[..., QSnapshot]) -> None:
        started = time.perf_counter()
        choices[name] = select(overlay, snapshot(), settings, np.random.default_rng(1))
        timings[name].append(time.perf_counter() - started)

    for _ in range(ROUNDS + 1):  # the first one makes columns
        overlay, new = _with_new_nodes(tree)
        select(overlay, q, settings, np.random.default_rng(0))
        asked = [group for groups in requests(new, seed=1) for group in groups]
        chosen("inherited", overlay, lambda: q)
        chosen("asked", overlay, lambda asked=asked: q.extended(critic.score(asked).values()))
        select(overlay, q, settings, np.random.default_rng(0))
        values = critic.score(asked).values()
        chosen("extended", overlay, lambda values=values: q.extended(values))
    shares = {name: choice.inherited_q / choice.candidates for name, choice in choices.items()}
    ms = {name: 1000 * min(found) for name, found in timings.items()}
    print(
        f"\n{selector}, {OLD} workflows, {NEW} of them new: selection {ms['inherited']:.2f} ms with inherited values, "
        f"{ms['extended']:.2f} ms with values on demand, {ms['asked']:.1f} ms with the critic's forwards in it; "
        f"share inherited {shares['inherited']:.4f} against {shares['extended']:.4f}"
    )
    assert shares["asked"] == shares["extended"] == 0.0 < shares["inherited"]
