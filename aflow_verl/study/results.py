"""The outcomes of a study by arm and family, and what follows from them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from aflow_verl.statistics import Interval
from aflow_verl.study.arms import BASELINE
from aflow_verl.study.curves import (
    Floats,
    Ratio,
    Ratios,
    difference,
    evaluations_to,
    gain_curve,
    match_ratios,
    mean_difference,
    share_ratio,
)
from aflow_verl.study.runner import Outcome

EARNED_AFTER = 40
"""Edits after which a critic's weight is read."""
BOOTSTRAP_SEED = 0


@dataclass(frozen=True)
class Results:
    """Gain curves by arm and family; every arm ran on the same landscapes."""

    arms: tuple[str, ...]
    families: tuple[str, ...]
    evaluations: int
    gains: Mapping[tuple[str, str], Floats]
    """(arm, family) -> gain_SE."""
    weights: Mapping[tuple[str, str], Floats]
    """(arm, family) -> effective weight of the critic after ``EARNED_AFTER`` edits, of searches that made so many."""
    edits: Mapping[tuple[str, str], float]
    """(arm, family) -> mean number of edits."""

    @property
    def checkpoints(self) -> tuple[int, ...]:
        """Quarter, half and all of the budget, in full evaluations."""
        return tuple(max(1, round(share * self.evaluations)) for share in (0.25, 0.5, 1.0))

    def at(self, arm: str, evaluations: int) -> dict[str, Floats]:
        """Family -> gain_S after this cost."""
        return {family: self.gains[arm, family][:, evaluations - 1] for family in self.families}

    def mean_gain(self, arm: str, evaluations: int) -> float:
        """Mean over families of the mean gain."""
        return float(np.mean([gain_S.mean() for gain_S in self.at(arm, evaluations).values()]))

    def mean_curve(self, arm: str) -> Floats:
        """Mean gain over families (E)."""
        return np.mean([self.gains[arm, family].mean(axis=0) for family in self.families], axis=0)

    def difference(self, arm: str, family: str, evaluations: int) -> Interval:
        """Paired difference to the baseline."""
        return difference(self.gains[arm, family][:, evaluations - 1], self.gains[BASELINE, family][:, evaluations - 1])

    def mean_difference(self, arm: str, evaluations: int) -> Interval:
        """The same in the mean over families."""
        return mean_difference(self.at(arm, evaluations), self.at(BASELINE, evaluations))

    def evaluations_to(self, arm: str, family: str, share: float) -> float:
        return evaluations_to(self.gains[arm, family], share)

    def share_ratio(self, arm: str, share: float) -> Ratio | None:
        """Cost of this share of the possible gain over the baseline's, in the mean over the families where the baseline
        gets there: medians over landscapes, percentiles of the bootstrap. None where it gets there in no family."""
        targets = [family for family in self.families if math.isfinite(self.evaluations_to(BASELINE, family, share))]
        if not targets:
            return None
        pairs = [(self.gains[arm, family], self.gains[BASELINE, family]) for family in targets]
        return share_ratio(pairs, share, BOOTSTRAP_SEED)

    @cached_property
    def ratios(self) -> dict[str, Ratios]:
        """Arm -> cost of the baseline's final result, by family and in the mean."""
        by_family = {arm: {family: self.gains[arm, family] for family in self.families} for arm in self.arms}
        return {arm: match_ratios(by_family[arm], by_family[BASELINE], BOOTSTRAP_SEED) for arm in self.arms}


def results_of(outcomes: Sequence[Outcome], evaluations: int) -> Results:
    """Collect outcomes, in any order."""
    gains: dict[tuple[str, str], list[tuple[int, Floats]]] = {}
    weights: dict[tuple[str, str], list[float]] = {}
    edits: dict[tuple[str, str], list[int]] = {}
    for outcome in outcomes:
        key = outcome.arm, outcome.family
        curve_E = gain_curve(outcome.trace, outcome.start, outcome.optimum, evaluations)
        gains.setdefault(key, []).append((outcome.seed, curve_E))
        edits.setdefault(key, []).append(outcome.trace.edits)
        weights.setdefault(key, []).extend(outcome.trace.weight_E[EARNED_AFTER - 1 : EARNED_AFTER])
    ordered = {key: sorted(found, key=lambda pair: pair[0]) for key, found in gains.items()}
    return Results(
        tuple(dict.fromkeys(arm for arm, _ in gains)),
        tuple(dict.fromkeys(family for _, family in gains)),
        evaluations,
        {key: np.array([curve_E for _, curve_E in found]) for key, found in ordered.items()},
        {key: np.array(found) for key, found in weights.items()},
        {key: float(np.mean(found)) for key, found in edits.items()},
    )
