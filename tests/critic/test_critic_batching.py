"""Requests that wait together are one batch; each asker gets its own values, or its batch's failure."""

import asyncio
import threading
from collections.abc import Sequence

import pytest
import torch

from aflow_verl.critic.batching import BatchingScorer
from aflow_verl.critic.scorer import CriticScorer, Read, Scores
from aflow_verl.search.qvalues import ScoreGroup


class Table:
    """V of a prompt is its first token, Q of an action its first token; holds its first batch until it is let go."""

    def __init__(self, weights_step: int = 3) -> None:
        self.weights_step = weights_step
        self.batches: list[int] = []
        self.working, self.go_on = threading.Event(), threading.Event()

    def read(self, groups: Sequence[ScoreGroup]) -> list[Read]:
        self.batches.append(len(groups))
        self.working.set()
        assert self.go_on.wait(10)
        if any(group.node_id == "bad" for group in groups):
            raise RuntimeError("out of memory")
        return [(float(g.prompt_ids[0]), tuple(float(ids[0]) for _, ids in g.actions)) for g in groups]


async def _first_is_working(table: Table, asked: asyncio.Task[Scores]) -> None:
    await asyncio.to_thread(table.working.wait, 10)
    assert not asked.done()


async def test_what_waits_is_one_batch_and_everyone_gets_their_own() -> None:
    table = Table()
    scorer = BatchingScorer(table)
    first = asyncio.create_task(scorer.score([ScoreGroup((1,), "a")]))
    await _first_is_working(table, first)
    later = [
        asyncio.create_task(scorer.score([ScoreGroup((k,), "same", ((f"c{k}", (k + 10, 2)),)), ScoreGroup((9,), None)]))
        for k in (2, 3, 4)
    ]
    await asyncio.sleep(0)
    table.go_on.set()
    assert await first == Scores(3, {"a": 1.0}, {})
    # one node, asked for with three prompts: nobody gets a neighbour's value
    assert await asyncio.gather(*later) == [Scores(3, {"same": float(k)}, {f"c{k}": k + 10.0}) for k in (2, 3, 4)]
    assert table.batches == [1, 6]
    await scorer.idle()


async def test_a_failure_reaches_its_batch_and_nobody_else() -> None:
    table = Table()
    scorer = BatchingScorer(table)
    first = asyncio.create_task(scorer.score([ScoreGroup((1,), "a")]))
    await _first_is_working(table, first)
    failing = [asyncio.create_task(scorer.score([ScoreGroup((2,), name)])) for name in ("b", "bad", "gone")]
    await asyncio.sleep(0)
    failing[2].cancel()
    table.go_on.set()
    assert (await first).v == {"a": 1.0}
    outcomes = await asyncio.gather(*failing, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [RuntimeError, RuntimeError, asyncio.CancelledError]
    assert (await scorer.score([ScoreGroup((5,), "after")])).v == {"after": 5.0}


async def test_an_asker_who_left_disturbs_nobody() -> None:
    table = Table()
    scorer = BatchingScorer(table)
    first = asyncio.create_task(scorer.score([ScoreGroup((1,), "a")]))
    await _first_is_working(table, first)
    first.cancel()
    second = asyncio.create_task(scorer.score([ScoreGroup((2,), "b")]))
    await asyncio.sleep(0)
    table.go_on.set()
    assert (await second).v == {"b": 2.0}


async def test_together_gives_what_alone_gives(tiny_critic: torch.nn.Module) -> None:
    critic = CriticScorer(tiny_critic, weights_step=1)
    groups = [ScoreGroup(tuple(range(10, 12 + 5 * k)), f"n{k}", ((f"c{k}", (70 + k, 2)),)) for k in range(5)]
    scorer = BatchingScorer(critic)
    together = await asyncio.gather(*(scorer.score([group]) for group in groups))
    for group, scores in zip(groups, together, strict=True):
        alone = critic.score([group])
        assert scores.v == pytest.approx(alone.v, abs=1e-5)
        assert scores.q == pytest.approx(alone.q, abs=1e-5)
