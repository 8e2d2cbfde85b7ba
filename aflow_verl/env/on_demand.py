"""Values of an episode's own new workflows, asked of the actor with a copy of the critic (``trainer.q_server``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, RayActorError

from aflow_verl.config import EvaluationConfig
from aflow_verl.critic.scorer import Scores
from aflow_verl.env.actions import ActionFormat
from aflow_verl.env.episode import EpisodeStart
from aflow_verl.env.scoring import score_groups
from aflow_verl.env.tokens import PolicyTokens
from aflow_verl.errors import CriticUnavailable
from aflow_verl.evaluation.retry import with_retries
from aflow_verl.search.qvalues import ScoreGroup
from aflow_verl.search.view import TreeView
from aflow_verl.types import Q_ACTOR


class ValuesOnDemand:
    """Scores nodes as the export would, with the weights of the episode's snapshot and no others."""

    def __init__(
        self, start: EpisodeStart, actions: ActionFormat, tokens: PolicyTokens, retrying: EvaluationConfig
    ) -> None:
        """``start.q``: not None. ``retrying``: how often a failure of the infrastructure is tried again."""
        assert start.q is not None
        self._weights_step = start.q.weights_step
        self._lessons = start.lessons
        self._centre = start.centre
        self._actions = actions
        self._tokens = tokens
        self._retrying = retrying

    async def __call__(self, tree: TreeView, node_ids: Sequence[str]) -> Mapping[str, float]:
        """Raises: CriticUnavailable."""
        groups = score_groups(tree, node_ids, self._actions, self._tokens, self._lessons)
        scores = await with_retries(
            lambda: _ask(groups, self._weights_step),
            retries=self._retrying.retries,
            backoff_s=self._retrying.backoff_s,
            on=CriticUnavailable,
            failed=lambda _: None,
        )
        return {node_id: self._centre + v for node_id, v in scores.v.items()}


async def _ask(groups: Sequence[ScoreGroup], weights_step: int) -> Scores:
    try:
        actor: Any = ray.get_actor(Q_ACTOR)
    except ValueError as unknown:
        raise CriticUnavailable("no process holds a copy of the critic", retryable=False) from unknown
    try:
        scores: Scores = await actor.score.remote(groups, weights_step)
    except RayActorError as lost:  # the trainer starts another one with its next export
        passing = isinstance(lost, ActorUnavailableError)
        raise CriticUnavailable("the process with the copy of the critic can't be reached", retryable=passing) from lost
    return scores
