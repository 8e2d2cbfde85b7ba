"""How much say critics of known worth earn: made-up promises against what edits of a simulated run reached.

``confidence`` is the project's own, fed as ``env.predictions`` feeds it. A critic is a function of what it could know
(and, for the oracle, of the truth); one that knows nothing must stay at 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from aflow_verl.search.confidence import Prediction, confidence
from aflow_verl.study.training import Row, Simulation

Floats = NDArray[np.float64]
Promise = Callable[["Asked", np.random.Generator], Floats]
"""(what it is asked about, random numbers) -> a promise for each edit, in score units."""

AFTER = (40, 100, 400)
"""Comparisons after which the confidence is read."""
ORACLES = (0.1, 0.3, 0.5, 0.9)
"""Correlations of the oracles with the true score that an edit reaches."""
REPEATS = 20
"""Draws of a random critic's noise on one run."""


class Asked:
    """N edits that a critic is asked about, in their order."""

    def __init__(self, found: Simulation) -> None:
        rows: list[Row] = [row for row in found.rows if row.valid and row.child_id is not None]
        self.shown_N = np.array([row.shown for row in rows])
        self.told_N = np.array([row.told for row in rows])
        self.reached_N = np.array([row.target.q + found.centre for row in rows])
        self.true_N = np.array([found.truth.score(row.child_id) for row in rows if row.child_id is not None])
        self.groups = [f"{row.step}/{row.node_id}" for row in rows]

    def __len__(self) -> int:
        return len(self.groups)

    def predictions(self, promise_N: Floats) -> list[Prediction]:
        return [
            Prediction(float(value), float(shown), float(reached), group)
            for value, shown, reached, group in zip(promise_N, self.shown_N, self.reached_N, self.groups, strict=True)
        ]


def _noise(asked: Asked, rng: np.random.Generator) -> Floats:
    return rng.standard_normal(len(asked))


def _node_noise(asked: Asked, rng: np.random.Generator) -> Floats:
    drawn = {group: rng.standard_normal() for group in dict.fromkeys(asked.groups)}
    return np.array([drawn[group] for group in asked.groups])


def _repeats(asked: Asked, rng: np.random.Generator) -> Floats:
    return asked.shown_N


def _repeats_bent(asked: Asked, rng: np.random.Generator) -> Floats:
    return asked.shown_N**2


def _reads(asked: Asked, rng: np.random.Generator) -> Floats:
    return asked.shown_N + asked.told_N


def _constant(asked: Asked, rng: np.random.Generator) -> Floats:
    return np.full(len(asked), 0.5)


def oracle(rho: float) -> Promise:
    """A promise of this correlation with the true score of the workflow that the edit makes; negative: inverted."""

    def promise(asked: Asked, rng: np.random.Generator) -> Floats:
        deviation = asked.true_N.std()
        if deviation == 0.0:
            return rng.standard_normal(len(asked))
        standard = (asked.true_N - asked.true_N.mean()) / deviation
        return rho * standard + math.sqrt(1.0 - rho * rho) * rng.standard_normal(len(asked))

    return promise


CRITICS: Mapping[str, Promise] = MappingProxyType(
    {
        "pure noise": _noise,
        "noise, the same for all edits of a workflow": _node_noise,
        "repeats the shown score": _repeats,
        "the square of the shown score": _repeats_bent,
        "reads the gains off its prompt": _reads,
        "constant": _constant,
        "inverted oracle (-0.5)": oracle(-0.5),
        **{f"oracle of {rho}": oracle(rho) for rho in ORACLES},
    }
)
"""Name -> critic. All but the oracles know nothing that the search does not know already."""


def honesty(found: Simulation, seed: int) -> dict[str, float]:
    """``critic/n``: mean confidence after n comparisons, over blocks of n and ``REPEATS`` draws of noise;
    ``critic/n/alarms``: the share of these in which it is above 0."""
    asked = Asked(found)
    numbers: dict[str, float] = {}
    for number, (name, promise) in enumerate(CRITICS.items()):
        rng = np.random.default_rng([seed, number])
        draws = [asked.predictions(promise(asked, rng)) for _ in range(_draws(promise, asked))]
        for n in AFTER:
            said = [
                confidence(predictions[start : start + n])
                for predictions in draws
                for start in range(0, len(asked) - n + 1, n)
            ]
            numbers[f"{name}/{n}"] = float(np.mean(said)) if said else math.nan
            numbers[f"{name}/{n}/alarms"] = float(np.mean([value > 0.0 for value in said])) if said else math.nan
    return numbers


def _draws(promise: Promise, asked: Asked) -> int:
    """One where the promise is not random."""
    first, second = (promise(asked, np.random.default_rng(seed)) for seed in (0, 1))
    return 1 if np.array_equal(first, second) else REPEATS
