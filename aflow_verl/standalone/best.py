"""The best workflow of a search so far.

The luckiest of many workflows on one set of problems looks better than it is. So one that leads on the validation
problems, which all are scored on, becomes the best one only if it is no worse in a race against it on fresh problems:
the training problems, which a search sees for nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aflow_verl.env.champion import Champion, Contest
from aflow_verl.search.store import Store
from aflow_verl.search.view import TreeView
from aflow_verl.types import Evaluation, Problem
from aflow_verl.workflow.state import WorkflowState

OUTCOMES = "search/contenders"
"""Store's key of [node id, whether it became the best], in the order of the races."""


class Best:
    """``resume`` comes first. Races are run one after the other, beside the search."""

    def __init__(self, store: Store, contest: Contest, validation: Sequence[Problem], fresh: Sequence[Problem]) -> None:
        self._store = store
        self._contest = contest
        self._validation = validation
        self._fresh = fresh
        self._waiting: dict[str, Champion] = {}
        self._races: asyncio.Task[None] | None = None
        self.seed: Champion
        self.now: Champion

    async def resume(self, tree: TreeView) -> None:
        """Grade the seed, and take up where the store says that the races were. All graded workflows are considered."""
        self._outcomes: list[tuple[str, bool]] = [(node, won) for node, won in self._store.get_meta(OUTCOMES, [])]
        self.seed = self.now = await self._champion(tree.root_id, tree.root.state)
        if winners := [node_id for node_id, won in self._outcomes if won]:
            self.now = await self._champion(winners[-1], tree[winners[-1]].state)
        for node in tree:
            if {
                problem.id for problem in self._validation
            } <= node.grades.keys() and node.mean > self.now.validation.mean:
                self.consider(await self._champion(node.id, node.state))
        await self.settled()

    def consider(self, contender: Champion) -> None:
        """Let it race if it leads, as soon as there is time."""
        if self._leads(contender) and contender.node_id not in dict(self._outcomes):
            self._waiting[contender.node_id] = contender
            if self._races is None:
                self._races = asyncio.ensure_future(self._race_all())

    async def settled(self) -> None:
        """Returns when no race is left. Raises what stopped them."""
        if self._races is not None:
            await self._races

    def cancel(self) -> None:
        """Leave the races that are left to the next start."""
        if self._races is not None:
            self._races.cancel()

    async def _race_all(self) -> None:
        """The highest score first: most of the others don't lead any more after that."""
        while self._waiting:
            contender = max(self._waiting.values(), key=lambda c: (c.validation.mean, c.node_id))
            del self._waiting[contender.node_id]
            if self._leads(contender):
                await self._race(contender)
        self._races = None

    async def _race(self, contender: Champion) -> None:
        seed = int(contender.state.hash, 16)  # its own order of problems, the same after a resume
        raced = await self._contest.race(contender.state, self.now.state, self._fresh, seed=seed)
        if raced.verdict == "incomplete":
            return  # it may race again after the next start
        won = raced.gain >= 0.0
        if won:
            self.now = contender
        self._outcomes.append((contender.node_id, won))
        self._store.put_meta(OUTCOMES, self._outcomes)

    def _leads(self, contender: Champion) -> bool:
        return contender.validation.mean > self.now.validation.mean

    async def _champion(self, node_id: str, state: WorkflowState) -> Champion:
        evaluation: Evaluation = await self._contest.evaluate(state, self._validation)
        return Champion(node_id, state, evaluation)
