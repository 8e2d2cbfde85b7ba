"""Critics of the study: what each says of a workflow and of an edit, as absolute scores.

An oracle of correlation c says  mean + sd * (c * z + sqrt(1 - c^2) * error),  z the true promise standardised over
workflows that random edits reach from the seed, so that its values correlate with the truth at c and spread as much.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from aflow_verl.study.knowledge import Knowledge
from aflow_verl.study.landscapes import Landscape

Errors = Literal["independent", "common"]
POPULATION = 300
"""Workflows and edits over which promises are standardised."""
FARTHEST = 6
"""Random edits between the seed and a workflow of the population, at most."""


class Critic(Protocol):
    """Says what can be reached; absolute scores."""

    fixed: bool
    """Whether a value never changes while a search goes on."""

    def nodes(self, masks: Sequence[int], shown: Sequence[float], knowledge: Knowledge) -> list[float]:
        """V(s) of each workflow; ``shown`` are the scores that their prompts show."""
        ...

    def edits(self, mask: int, edits: Sequence[int], shown: float, knowledge: Knowledge) -> list[float]:
        """Q(s, a) of each edit."""
        ...


class Oracle:
    """Knows the truth up to a correlation; see the top of the file. ``correlation`` -1 inverts the ranking.

    Errors are drawn anew for every workflow and edit (``independent``), or once for every edit id (``common``): then a
    workflow's error is the sum of those of its edits over the root of their number, and the same mistake is made
    everywhere.
    """

    fixed = True

    def __init__(self, landscape: Landscape, correlation: float, errors: Errors, seed: int) -> None:
        self._land = landscape
        self._correlation = correlation
        self._error_sd = math.sqrt(1.0 - correlation * correlation)
        self._errors = errors
        self._seed = seed
        self._error_A = np.random.default_rng([seed, landscape.seed, 2]).standard_normal(landscape.family.edits)
        self._drawn: dict[int, NDArray[np.float64]] = {}

    def nodes(self, masks: Sequence[int], shown: Sequence[float], knowledge: Knowledge) -> list[float]:
        return [self._says(self._land.promise(mask), self._node_scale, self._node_error(mask)) for mask in masks]

    def edits(self, mask: int, edits: Sequence[int], shown: float, knowledge: Knowledge) -> list[float]:
        error_A = self._error_A if self._errors == "common" else self._own_errors(mask)
        return [
            self._says(self._land.edit_promise(mask, edit), self._edit_scale, float(error_A[edit])) for edit in edits
        ]

    def _says(self, truth: float, scale: tuple[float, float], error: float) -> float:
        mean, sd = scale
        return mean + self._correlation * (truth - mean) + self._error_sd * sd * error

    def _node_error(self, mask: int) -> float:
        if self._errors == "independent":
            return float(self._own_errors(mask)[-1])
        on = [edit for edit in range(self._land.family.edits) if mask >> edit & 1]
        return float(self._error_A[on].sum()) / math.sqrt(len(on)) if on else 0.0

    def _own_errors(self, mask: int) -> NDArray[np.float64]:
        """One error for each edit of the workflow, and its own at the end."""
        found = self._drawn.get(mask)
        if found is None:
            words = [self._seed, self._land.seed, 3, mask & 0xFFFFFFFF, mask >> 32]
            found = np.random.default_rng(words).standard_normal(self._land.family.edits + 1)
            self._drawn[mask] = found
        return found

    @cached_property
    def _population(self) -> list[tuple[int, int]]:
        """(workflow, one of its edits)."""
        rng = np.random.default_rng([self._seed, self._land.seed, 4])
        found = []
        for steps in rng.integers(0, FARTHEST + 1, POPULATION).tolist():
            mask = 0
            for _ in range(steps):
                mask = self._land.apply(mask, int(rng.choice(self._land.edits(mask))))
            found.append((mask, int(rng.choice(self._land.edits(mask)))))
        return found

    @cached_property
    def _node_scale(self) -> tuple[float, float]:
        return _scale([self._land.promise(mask) for mask, _ in self._population])

    @cached_property
    def _edit_scale(self) -> tuple[float, float]:
        return _scale([self._land.edit_promise(mask, edit) for mask, edit in self._population])


class ShownScore:
    """Repeats the score that it is shown."""

    fixed = False

    def nodes(self, masks: Sequence[int], shown: Sequence[float], knowledge: Knowledge) -> list[float]:
        return list(shown)

    def edits(self, mask: int, edits: Sequence[int], shown: float, knowledge: Knowledge) -> list[float]:
        return [shown] * len(edits)


class Constant:
    """Says the same of everything."""

    fixed = True

    def __init__(self, value: float = 0.5) -> None:
        self._value = value

    def nodes(self, masks: Sequence[int], shown: Sequence[float], knowledge: Knowledge) -> list[float]:
        return [self._value] * len(masks)

    def edits(self, mask: int, edits: Sequence[int], shown: float, knowledge: Knowledge) -> list[float]:
        return [self._value] * len(edits)


def _scale(values: list[float]) -> tuple[float, float]:
    return float(np.mean(values)), float(np.std(values))
