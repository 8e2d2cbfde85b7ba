"""Requests that wait for the critic together are scored together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import islice
from typing import Protocol

from aflow_verl.critic.scorer import Read, Scores
from aflow_verl.search.qvalues import ScoreGroup


class Reader(Protocol):
    """``scorer.CriticScorer``, or what stands for it in a test."""

    weights_step: int

    def read(self, groups: Sequence[ScoreGroup]) -> list[Read]:
        """Blocking."""
        ...


class BatchingScorer:
    """Scores in a thread. What arrives while it is at work is one batch for it afterwards, in order of arrival."""

    GATHER_SECONDS = 0.005
    """How long the first request of an idle scorer waits for company; sessions of a group ask at about one time."""

    def __init__(self, scorer: Reader) -> None:
        self._scorer = scorer
        self._waiting: list[tuple[tuple[ScoreGroup, ...], asyncio.Future[Scores]]] = []
        self._worker: asyncio.Task[None] | None = None

    async def score(self, groups: Sequence[ScoreGroup]) -> Scores:
        """The values of these groups alone. A failure reaches every request of its batch, and no other."""
        future: asyncio.Future[Scores] = asyncio.get_running_loop().create_future()
        self._waiting.append((tuple(groups), future))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._serve())
        return await future

    async def idle(self) -> None:
        """Returns when nothing is being scored and nothing waits."""
        if self._worker is not None:
            await self._worker

    async def _serve(self) -> None:
        await asyncio.sleep(self.GATHER_SECONDS)
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                read = await asyncio.to_thread(self._scorer.read, [g for groups, _ in batch for g in groups])
            except Exception as failure:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(failure)
                continue
            rest = iter(read)  # by place, not by node: two episodes may ask for one node with different prompts
            for groups, future in batch:
                scores = Scores.of(self._scorer.weights_step, groups, list(islice(rest, len(groups))))
                if not future.done():  # the asker may be gone
                    future.set_result(scores)
