"""The trainer's end of the loop: what it asks of the search, as calls to a named Ray actor.

Trainer and environment never import each other; they meet in the actor ``aflow_verl.types.SEARCH_ACTOR`` and in the
plain data of ``aflow_verl.search``: rows, targets and values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ray

from aflow_verl.search.qvalues import ScoreGroup
from aflow_verl.search.replay import ReplayRow
from aflow_verl.search.targets import MergedStep
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

    def merge(self, step: int, sessions: Sequence[tuple[str, int]]) -> MergedStep:
        """Merge the overlays of the step's sessions (uid, session) into the shared trees.

        Returns:
            The step's metrics, and what each of its rows turned out to be worth.
        """
        merged: MergedStep = ray.get(self._actor.merge.remote(step, list(sessions)))
        return merged

    def keep_rows(self, step: int, rows: Mapping[tuple[str, int, int], ReplayRow]) -> None:
        """Keep the merged step's training rows (uid, session, t), which later updates of the critic may see again."""
        ray.get(self._actor.keep_rows.remote(step, dict(rows)))

    def replay(self, step: int, count: int) -> list[ReplayRow]:
        """At most ``count`` training rows of earlier steps."""
        return list(ray.get(self._actor.replay.remote(step, count)))

    def to_score(self, step: int) -> tuple[list[ScoreGroup], dict[str, float]]:
        """What the critic's weights of ``step`` have not scored yet.

        Returns:
            One prompt for each such node of the shared trees, and the V of the other nodes, which these weights gave.
        """
        groups, kept = ray.get(self._actor.to_score.remote(step))
        return groups, kept

    def publish(
        self, step: int, values: Mapping[str, float], predictions: Mapping[tuple[str, int, int], tuple[float, float]]
    ) -> dict[str, float]:
        """Hand the critic's values to the selectors of the next episodes.

        Args:
            values: node id -> V by the weights of ``step``.
            predictions: (uid, session, t) -> (V, Q) of the step's rows by the weights before it, which had not seen
                them; what the critic is judged by.

        Returns:
            Metrics of that judgement.
        """
        return dict(ray.get(self._actor.publish.remote(step, dict(values), dict(predictions))))

    def raise_failure(self, kind: type[Exception] = Exception) -> None:
        """Raise what made episodes of this step fail, if any did and it is of this kind."""
        ray.get(self._actor.raise_failure.remote(kind))

    def finish_step(self, step: int) -> Mapping[str, float]:
        """Validate candidates and record the best workflow; metrics of that."""
        return dict(ray.get(self._actor.finish_step.remote(step)))

    def finish(self) -> None:
        """Compare seed and best workflow on held-out problems, while all that answers them is still there."""
        ray.get(self._actor.finish.remote())
