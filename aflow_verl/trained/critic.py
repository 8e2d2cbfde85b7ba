"""What a trained critic says of a growing tree: every workflow is scored as soon as it is there, none inherits.

The weights stay as they are, but a workflow's prompt doesn't: it shows what was tried and what came of it. So the V of
a workflow is read anew after it was edited.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from aflow_verl.critic.scorer import Scores
from aflow_verl.env.actions import ActionFormat
from aflow_verl.env.scoring import score_groups
from aflow_verl.env.tokens import PolicyTokens
from aflow_verl.errors import ModelUnavailable
from aflow_verl.search.experience import ExperienceRecord
from aflow_verl.search.qvalues import QSnapshot, QValue, ScoreGroup, calibrated
from aflow_verl.search.view import TreeView


class Scorer(Protocol):
    """``critic.batching.BatchingScorer``, or what stands for it in a test."""

    async def score(self, groups: Sequence[ScoreGroup]) -> Scores: ...


class TreeCritic:
    """One tree's values. ``begin`` comes first."""

    def __init__(
        self, scorer: Scorer, actions: ActionFormat, tokens: PolicyTokens, *, weights_step: int, gamma: float
    ) -> None:
        """``gamma``: discount of the returns that the critic learned."""
        self._scorer = scorer
        self._actions = actions
        self._tokens = tokens
        self._gamma = gamma
        self._values: dict[str, QValue] = {}
        self._stale: dict[str, None] = {}
        self._records: list[ExperienceRecord] = []
        self._snapshot: QSnapshot | None = None
        self._one_at_a_time = asyncio.Lock()
        self.weights_step = weights_step

    def begin(self, tree: TreeView, records: Iterable[ExperienceRecord], kept: QSnapshot | None) -> None:
        """``kept``: values of an earlier start. Those of other weights are left out; ``changed`` says which are old."""
        self._records = list(records)
        if kept is not None and kept.weights_step == self.weights_step:
            self._values = {node.id: kept.values[node.id] for node in tree if node.id in kept.values}
            self._snapshot = kept
        self._stale = {node.id: None for node in tree if node.id not in self._values}

    def changed(self, node_ids: Iterable[str]) -> None:
        """The prompts of these nodes are others now, or the nodes are new."""
        self._stale.update(dict.fromkeys(node_ids))

    def learned(self, record: ExperienceRecord) -> None:
        """An edit has been graded."""
        self._records.append(record)

    async def snapshot(self, tree: TreeView) -> QSnapshot:
        """The values of all nodes as the tree is when this returns. Raises ModelUnavailable where the critic fails."""
        async with self._one_at_a_time:
            while self._stale or self._snapshot is None:
                asked, self._stale = list(self._stale), {}
                self._values.update(await self._score(tree, asked))
                returns = known_returns(self._records, self._gamma)
                self._snapshot = calibrated(self._values, returns, weights_step=self.weights_step, gamma=self._gamma)
            return self._snapshot

    async def _score(self, tree: TreeView, node_ids: Sequence[str]) -> Mapping[str, QValue]:
        groups = score_groups(tree, node_ids, self._actions, self._tokens)
        try:
            return (await self._scorer.score(groups)).values()
        except RuntimeError as failure:  # whatever torch raises, such as no memory left
            raise ModelUnavailable(f"the critic failed: {str(failure).splitlines()[0]}", retryable=False) from failure


def known_returns(records: Sequence[ExperienceRecord], gamma: float) -> Mapping[str, list[float]]:
    """Node id -> tree returns of the edits made of it.

    ``y = gain + gamma * max(0, best y of a later edit of the child)``, a search being one long episode; a record of a
    training has its own. An edit that made nothing to grade says nothing.
    """
    found: dict[str, list[float]] = {}
    best_later: dict[str, float] = {}
    for record in reversed(records):
        y = record.tree_return
        if y is None and record.gain is not None:
            y = record.gain + gamma * max(0.0, best_later.get(record.child or "", 0.0))
            best_later[record.parent] = max(y, best_later.get(record.parent, y))
        if y is not None:
            found.setdefault(record.parent, []).append(y)
    return found
