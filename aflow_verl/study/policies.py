"""Who proposes the edits: a distribution over the edits that were not tried on a workflow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from aflow_verl.study.knowledge import Knowledge
from aflow_verl.study.landscapes import Landscape

Floats = NDArray[np.float64]


class Policy(Protocol):
    """Weighs the edits of a workflow."""

    def weights(self, mask: int, edits: Sequence[int], knowledge: Knowledge) -> Floats:
        """A positive weight for each of the edits; probabilities once they are divided by their sum."""
        ...


class Odds:
    """Good edits are ``odds`` times as likely as neutral ones, and those as bad ones; 1 is the uniform policy."""

    def __init__(self, landscape: Landscape, odds: float) -> None:
        self._land = landscape
        self._weight = {1: odds, 0: 1.0, -1: 1.0 / odds}
        self._known: dict[int, dict[int, float]] = {}

    def weights(self, mask: int, edits: Sequence[int], knowledge: Knowledge) -> Floats:
        if self._weight[1] == 1.0:
            return np.ones(len(edits))
        known = self._known.setdefault(mask, {})
        for edit in edits:
            if edit not in known:
                known[edit] = self._weight[self._land.label(mask, edit)]
        return np.array([known[edit] for edit in edits])


def draw(weight_N: Floats, rng: np.random.Generator) -> tuple[int, float]:
    """(place drawn, logarithm of its probability)."""
    probability_N = weight_N / weight_N.sum()
    place = min(int(np.searchsorted(np.cumsum(probability_N), rng.random(), side="right")), len(weight_N) - 1)
    return place, float(np.log(probability_N[place]))
