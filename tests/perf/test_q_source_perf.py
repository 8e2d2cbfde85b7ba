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
from aflow_verl.search.catalog import SELECTORS
from aflow_verl.search.qvalues import QSnapshot, ScoreGroup
from aflow_verl.search.selection import select
from aflow_verl.search.tree import Overlay, Tree
from aflow_verl.workflow.state import WorkflowState

pytestmark = pytest.mark.perf

SESSIONS = 64
"""Episodes that ask at one time, each for the workflow that it has just made."""
PROMPT_TOKENS = 300
NEW = 8
ROUNDS = 3
MIN_RATIO = 1.0
"""On two busy cores; the figure is printed."""


@pytest.fixture(scope="module")
def critic(tiny_policy: Path) -> CriticScorer:
    torch.manual_seed(0)
    return CriticScorer(new_critic(AutoConfig.from_pretrained(tiny_policy)), weights_step=1)


def requests(node_ids: Sequence[str], seed: int) -> list[list[ScoreGroup]]:
    """As episodes ask: each for the prompt of the workflow that it has just made."""
    draw = random.Random(seed)

    def prompt() -> tuple[int, ...]:
        return tuple(draw.randrange(3, 250) for _ in range(PROMPT_TOKENS + draw.randrange(-30, 31)))

    return [[ScoreGroup(prompt(), node_id)] for node_id in node_ids]


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
    print(
        f"\nvalues on demand, {SESSIONS} sessions, prompts of {PROMPT_TOKENS} tokens, tiny model: "
        f"{SESSIONS / fast:.0f} nodes/s batched, {SESSIONS / slow:.0f} nodes/s one by one, ratio {slow / fast:.1f}"
    )
    assert slow / fast >= MIN_RATIO


def _state(number: int) -> WorkflowState:
    return WorkflowState("toy", f"class Workflow:\n    number = {number}\n", "", ("Custom",))


def _episode() -> tuple[Overlay, QSnapshot, list[str]]:
    """An episode that has edited its workflow several times, and what the last export promised of that workflow."""
    overlay = Tree.seed(_state(0), {"p": 0.5}).overlay()
    made = [overlay.add_child(overlay.root_id, _state(1 + k), f"e{k}", {"p": 1.0}, logprob=-0.5) for k in range(NEW)]
    return overlay, QSnapshot(1, {overlay.root_id: 0.5}, node_confidence=1.0), [node.id for node in made]


@pytest.mark.parametrize("selector", ["ucb", "soft_mixed"])
def test_a_selection_with_either_source(selector: str, critic: CriticScorer) -> None:
    overlay, q, new = _episode()
    settings = SearchConfig(selector=selector)
    timings: dict[str, list[float]] = {"inherited": [], "asked": []}
    own: dict[str, int] = {}

    def chosen(name: str, snapshot: Callable[[], QSnapshot]) -> None:
        started = time.perf_counter()
        own[name] = select(overlay, snapshot(), settings, SELECTORS[selector], np.random.default_rng(1)).own_q
        timings[name].append(time.perf_counter() - started)

    for _ in range(ROUNDS):
        asked = [group for groups in requests(new, seed=1) for group in groups]
        chosen("inherited", lambda: q)
        chosen("asked", lambda asked=asked: q.extended(critic.score(asked).v))
    ms = {name: 1000 * min(found) for name, found in timings.items()}
    print(
        f"\n{selector}, {NEW} workflows of an episode: selection {ms['inherited']:.2f} ms with inherited promises, "
        f"{ms['asked']:.1f} ms with the critic's forwards in it"
    )
    assert own["inherited"] <= 1 < own["asked"]
