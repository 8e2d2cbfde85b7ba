"""The trainer's end of the loop: what it asks of the search, as calls to a named Ray actor.

Trainer and environment never import each other; they meet in the actor ``aflow_verl.types.SEARCH_ACTOR`` and in the
data of ``aflow_verl.search.qvalues``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ray

from aflow_verl.search.qvalues import QSnapshot, QValue, ScoreGroup
from aflow_verl.search.replay import ReplayRow
from aflow_verl.types import SEARCH_ACTOR


class SearchLink:
    """Blocking calls to the search actor."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    @classmethod
    def connect(cls) -> SearchLink:
        """Raises: RuntimeError where no search actor runs in this Ray job."""
        try:
            return cls(ray.get_actor(SEARCH_ACTOR))
        except ValueError as error:
            raise RuntimeError(
                f"no Ray actor {SEARCH_ACTOR!r}: start runs with python -m aflow_verl.main_gigpo"
            ) from error

    def phase(self, name: str) -> None:
        """Say what the trainer is doing now; shown on the terminal."""
        self._actor.set_phase.remote(name)

    def serve(self, gateway: Any, step: int) -> None:
        """The rollout servers are awake with the weights of ``step``; the search may ask them through ``gateway``."""
        ray.get(self._actor.serve_policy.remote(gateway, step))

    def pause(self) -> None:
        """The rollout servers are about to sleep; returns when nobody asks them any more."""
        ray.get(self._actor.pause_policy.remote())

    def resume(self, step: int) -> None:
        """The trees, values and pending episodes are those of the checkpoint of ``step`` from now on."""
        ray.get(self._actor.resume.remote(step))

    def merge(
        self, step: int, sessions: Sequence[tuple[str, int]], rows: Mapping[tuple[str, int, int], ReplayRow]
    ) -> dict[str, float]:
        """Merge the overlays of the step's sessions (uid, session) into the shared trees.

        Args:
            rows: (uid, session, t) -> training rows of the step that later updates of the critic may see again.

        Returns:
            The step's ``search/*`` and ``eval/*`` metrics.
        """
        return dict(ray.get(self._actor.merge.remote(step, list(sessions), rows)))

    def replay(self, step: int, count: int) -> list[ReplayRow]:
        """At most ``count`` training rows of earlier steps."""
        return list(ray.get(self._actor.replay.remote(step, count)))

    def to_score(self, step: int) -> tuple[list[ScoreGroup], dict[str, QValue], dict[str, list[float]]]:
        """What the critic's weights of ``step`` have not scored yet.

        Returns:
            Those nodes of the shared trees, grouped by prompt; the values of the others; and the known tree returns of
            each node's edits.
        """
        groups, kept, returns = ray.get(self._actor.to_score.remote(step))
        return groups, kept, returns

    def publish(self, step: int, snapshot: QSnapshot) -> None:
        """Hand the critic's values to the selectors of the next episodes."""
        ray.get(self._actor.publish.remote(step, snapshot))

    def raise_failure(self, kind: type[Exception] = Exception) -> None:
        """Raise what made episodes of this step fail, if any did and it is of this kind."""
        ray.get(self._actor.raise_failure.remote(kind))

    def finish_step(self, step: int) -> Mapping[str, float]:
        """Validate candidates and record the best workflow; metrics of that."""
        return dict(ray.get(self._actor.finish_step.remote(step)))

    def finish(self) -> None:
        """Compare seed and best workflow on held-out problems, while all that answers them is still there."""
        ray.get(self._actor.finish.remote())
