"""Rows of earlier episodes for the critic: kept with each merged step, drawn for each update of a later one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aflow_verl.config import ExperienceConfig
from aflow_verl.env.seeds import generator
from aflow_verl.search.experience import ExperienceRecord
from aflow_verl.search.replay import ReplayKey, ReplayRow
from aflow_verl.search.sampling import sample
from aflow_verl.search.store import Store

KEPT = 2
"""The store keeps this many times ``replay_rows``, so that a resume some steps back finds what was there."""


class Replay:
    """What may be replayed. The tokens lie in the store alone; here is what rows are drawn by."""

    def __init__(self, store: Store, settings: ExperienceConfig, seed: int) -> None:
        """``seed``: the recipe's."""
        self._store = store
        self._settings = settings
        self._seed = seed
        self._keys: list[ReplayKey] = []

    def resume(self, step: int) -> None:
        """Go back to the rows of the steps up to ``step``."""
        self._keys = self._newest(self._store.replay_keys(step))

    def keep(self, step: int, rows: Mapping[str, ReplayRow], records: Iterable[ExperienceRecord]) -> None:
        """Take in a step's rows, by the origin that their experience records have; durable when this returns."""
        record_of = {record.origin: record for record in records}
        found = {
            ReplayKey(step, origin, record.after, record.surprise)
            if (record := record_of.get(origin))
            else ReplayKey(step, origin): row  # stopped: nothing was tried, and 0 was its return
            for origin, row in sorted(rows.items())
        }
        self._store.put_replay(found, newest=KEPT * self._settings.replay_rows)
        self._keys = self._newest([*self._keys, *found])

    def draw(self, step: int, count: int) -> list[ReplayRow]:
        """At most ``count`` different rows of steps before ``step``, by ``experience.sampling``."""
        earlier = [key for key in self._keys if key.step < step]
        rng = generator(self._seed, "replay", step)
        return self._store.load_replay(sample(self._settings.sampling, earlier, count, rng))

    def _newest(self, keys: list[ReplayKey]) -> list[ReplayKey]:
        return keys[-self._settings.replay_rows :]
