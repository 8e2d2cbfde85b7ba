"""Who challenges the best workflow of a search, and when. Who wins is decided in ``evaluation.best_workflow``.

A challenger leads on the validation problems, all of which it was graded on. It is tried on the training problems,
which a search sees for nothing else. One challenge is under way at a time, beside the search.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aflow_verl.evaluation.best_workflow import BestWorkflow
from aflow_verl.search.view import TreeView
from aflow_verl.standalone.history import RoundEntry
from aflow_verl.standalone.scores import is_whole
from aflow_verl.workflow.state import WorkflowState

KEY = "search/challenges"
"""Store's key of the challenges."""


class Challenges:
    """See the top of this file."""

    def __init__(self, best: BestWorkflow, tree: TreeView, rounds: Sequence[RoundEntry]) -> None:
        """``best``: resumed. ``tree`` and ``rounds``: the live ones."""
        self._best = best
        self._tree = tree
        self._rounds = rounds
        self._running: asyncio.Task[bool] | None = None

    def begin(self) -> None:
        """Let the most promising workflow that leads and has not challenged yet do so, unless one is at it."""
        if self._running is None or self._running.done():
            self._running = asyncio.ensure_future(self._challenge(1))

    async def settled(self) -> None:
        """Returns when no challenge is under way. Raises what stopped the last one."""
        if self._running is not None:
            await self._running

    async def finish(self) -> None:
        """Let all that are left challenge. Raises as ``BestWorkflow.challenge`` does."""
        await self.settled()
        await self._challenge(len(self._tree))

    def cancel(self) -> None:
        """Leave the challenge that is under way to the next start."""
        if self._running is not None:
            self._running.cancel()

    async def _challenge(self, limit: int) -> bool:
        return await self._best.challenge(leaders(self._tree, self._best.best.node_id), len(self._rounds), limit)


def leaders(tree: TreeView, best_id: str) -> list[tuple[str, WorkflowState]]:
    """Workflows with a higher X than this one that were graded on all problems, the highest first."""
    x = tree.estimates().x
    ahead = [node for node in tree if x[node.id] > x[best_id] and is_whole(tree, node)]
    return [(node.id, node.state) for node in sorted(ahead, key=lambda node: -x[node.id])]
