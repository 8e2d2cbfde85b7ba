"""What a trained critic says of a growing tree, and how far it has proved right on it.

A critic's values are promises above a *centre*, the score that its zero stands for. In absolute scores

    V(s) = centre + head at the last token of s's prompt,    Q(s, a) = centre + head after the reply a

The weights stay as they are, but prompts don't: they show what was tried, anywhere in the tree, and what came of it. So
V is read anew wherever the prompt has changed. The critic has learned on other searches, maybe on other tasks, and
begins with a confidence of 0; what it says is compared with what the edits then bring in this tree.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from aflow_verl.critic.scorer import Scores
from aflow_verl.env.actions import ActionFormat, Offer, Reply
from aflow_verl.env.prompts import learned_from
from aflow_verl.env.scoring import score_groups
from aflow_verl.env.tokens import PolicyTokens
from aflow_verl.errors import ModelUnavailable
from aflow_verl.search.confidence import Prediction, confidence
from aflow_verl.search.qvalues import QSnapshot, ScoreGroup
from aflow_verl.search.returns import edit_promise, futures, node_promises
from aflow_verl.search.view import TreeView


class Scorer(Protocol):
    """``critic.batching.BatchingScorer``, or what stands for it in a test."""

    async def score(self, groups: Sequence[ScoreGroup]) -> Scores: ...


@dataclass(frozen=True, slots=True)
class Said:
    """What was promised before an edit was made, absolute scores."""

    node_id: str
    """The workflow that was edited."""
    child_id: str | None
    """What the edit made; None where that could not be used."""
    v: float | None
    """V of the workflow."""
    v_shown: float
    """Its X then."""
    q: float | None
    """Q of the edit; None without a reply that the critic can read."""
    q_shown: float
    """X in the prompt that the edit replied to."""


class TreeCritic:
    """One tree's values."""

    def __init__(
        self,
        scorer: Scorer,
        actions: ActionFormat,
        tokens: PolicyTokens,
        *,
        weights_step: int,
        gamma: float,
        centre: float,
    ) -> None:
        """``gamma``: discount of the returns that the critic learned. ``centre``: the score that its 0 stands for."""
        self._scorer = scorer
        self._actions = actions
        self._tokens = tokens
        self._gamma = gamma
        self._centre = centre
        self._values: dict[str, float] = {}
        self._one_at_a_time = asyncio.Lock()
        self.weights_step = weights_step
        self.prompts: dict[str, str] = {}
        """Node id -> digest of the prompt that its value was read on."""

    def resume(self, kept: QSnapshot | None, prompts: Mapping[str, str]) -> None:
        """Go on with the values of an earlier start, unless they are of other weights."""
        if kept is not None and kept.weights_step == self.weights_step:
            self._values, self.prompts = dict(kept.values), dict(prompts)

    async def snapshot(self, tree: TreeView, said: Sequence[Said]) -> QSnapshot:
        """The promises of all nodes on the prompts that the tree gives now. Raises ModelUnavailable where the critic
        fails.

        Args:
            said: of all rounds so far, with these weights.
        """
        async with self._one_at_a_time:
            groups = score_groups(tree, [node.id for node in tree], self._actions, self._tokens, learned_from(tree))
            prompts = {group.node_id: _digest(group) for group in groups if group.node_id is not None}
            changed = [group for group in groups if prompts[str(group.node_id)] != self.prompts.get(str(group.node_id))]
            if changed:
                read = await self._score(changed)
                self._values.update({node_id: self._centre + v for node_id, v in read.v.items()})
                self.prompts.update({str(group.node_id): prompts[str(group.node_id)] for group in changed})
            nodes, edits = comparisons(tree, said, self._gamma)
            values = {node_id: self._values[node_id] for node_id in prompts}
            return QSnapshot(self.weights_step, values, confidence(nodes), confidence(edits))

    async def edits(self, asked: Sequence[tuple[Offer, Reply]]) -> list[float]:
        """Q of replies to offers, in their order. Raises as ``snapshot`` does."""
        groups: dict[int, ScoreGroup] = {}
        for k, (offer, reply) in enumerate(asked):
            known = groups.get(id(offer))
            prompt_ids = self._tokens.prompt_ids(offer.messages, offer.shorter) if known is None else known.prompt_ids
            before = () if known is None else known.actions
            groups[id(offer)] = ScoreGroup(prompt_ids, None, (*before, (str(k), reply.response_ids)))
        q = (await self._score(list(groups.values()))).q if groups else {}
        return [self._centre + q[str(k)] for k in range(len(asked))]

    async def _score(self, groups: Sequence[ScoreGroup]) -> Scores:
        try:
            return await self._scorer.score(groups)
        except RuntimeError as failure:  # whatever torch raises, such as no memory left
            raise ModelUnavailable(f"the critic failed: {str(failure).splitlines()[0]}", retryable=False) from failure


def comparisons(tree: TreeView, said: Iterable[Said], gamma: float) -> tuple[list[Prediction], list[Prediction]]:
    """(of nodes, of edits): each promise beside what was reached, as the tree knows it now.

    A workflow's first promise alone counts: all of its edits have one outcome together. An edit that made no workflow
    says nothing of the critic.
    """
    future = futures(tree, gamma)
    reached = node_promises(tree, gamma, future)
    nodes: dict[str, Prediction] = {}
    edits = []
    for one in said:
        if one.v is not None and one.node_id in reached:
            nodes.setdefault(one.node_id, Prediction(one.v, one.v_shown, reached[one.node_id]))
        if one.q is not None and one.child_id is not None:
            outcome = edit_promise(tree.x(one.child_id), future[one.child_id], gamma)
            edits.append(Prediction(one.q, one.q_shown, outcome, one.node_id))
    return list(nodes.values()), edits


def _digest(group: ScoreGroup) -> str:
    return hashlib.sha256(repr(group.prompt_ids).encode()).hexdigest()[:16]
