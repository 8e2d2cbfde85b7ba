"""What a study measures: gain curves, costs, and paired differences to the baseline.

gain = (true score of what would be delivered - seed's score) / (best score in reach - seed's score): 0 for the seed, 1
for the optimum, negative where the search would hand over a worse workflow than it was given.

Dimension letters: S landscapes of a family (seeds), E full evaluations 1, 2, ..., budget.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aflow_verl.statistics import Interval
from aflow_verl.study.search_run import Trace

Floats = NDArray[np.float64]

RESAMPLES = 1000
"""Bootstrap resamples of a cost ratio."""
NOT_REACHED = 2.0
"""Ratio that a cost beyond the budget counts for: the arm needs more than the baseline did, how much is not known."""
LEAST_GAIN = 0.05
"""Gain of the baseline below which its result is no target: the seed alone nearly has it."""
CONFIDENCE = 0.95


def gain_curve(trace: Trace, start: float, optimum: float, evaluations: int) -> Floats:
    """Gain (E) after each full evaluation's worth of cost."""
    place_E = np.searchsorted(np.array(trace.costs), np.arange(1, evaluations + 1) + 1e-9, side="right") - 1
    return np.asarray((np.array(trace.scores)[place_E] - start) / (optimum - start))


def band(gain_SE: Floats) -> tuple[Floats, Floats, Floats]:
    """(mean_E, low_E, high_E): Student's t over landscapes; no width for a single one."""
    mean_E = gain_SE.mean(axis=0)
    half_E = _half(gain_SE) if len(gain_SE) > 1 else np.zeros_like(mean_E)
    return mean_E, mean_E - half_E, mean_E + half_E


def evaluations_to(gain_SE: Floats, share: float) -> float:
    """Median over landscapes of the first cost at which ``share`` of the possible gain is reached; infinite where half
    of them or more do not get there."""
    return _median(_first(gain_SE, share))


def _first(gain_SE: Floats, share: float) -> Floats:
    """First cost (S) at which each landscape's search has this share; infinite where it does not get there."""
    reached_SE = gain_SE >= share - 1e-9
    return np.where(reached_SE.any(axis=1), reached_SE.argmax(axis=1) + 1.0, np.inf)


def _median(first_S: Floats) -> float:
    middle = np.sort(first_S)
    return float((middle[(len(middle) - 1) // 2] + middle[len(middle) // 2]) / 2)


def cost_to_match(mean_E: Floats, target: float) -> float:
    """Cost from which on a mean curve stays at ``target`` or above; infinite where it ends below."""
    below = np.flatnonzero(mean_E < target - 1e-9)
    cost = float(below[-1] + 2) if len(below) else 1.0
    return cost if cost <= len(mean_E) else math.inf


@dataclass(frozen=True)
class Ratio:
    """Cost of an arm over that of the baseline, with a 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Ratios:
    """What an arm pays for the baseline's result."""

    by_family: Mapping[str, Ratio]
    """Of the families where the baseline's result is a target."""
    mean: Ratio | None
    """Over those families; None for none."""
    not_reached: tuple[str, ...]
    """Families where the arm ends below the baseline; each counts as ``NOT_REACHED``."""

    @property
    def worst(self) -> float:
        return max((ratio.value for ratio in self.by_family.values()), default=math.nan)


def match_ratios(arm: Mapping[str, Floats], baseline: Mapping[str, Floats], seed: int) -> Ratios:
    """Share of the budget from which on the arm's mean curve stays at or above the baseline's last value.

    Families where the baseline gains less than ``LEAST_GAIN`` are left out. Intervals: percentiles of the bootstrap
    over landscapes, both arms on the same ones.

    Args:
        arm, baseline: family -> gain_SE, on the same landscapes.
    """
    rng = np.random.default_rng(seed)
    values: dict[str, float] = {}
    drawn: dict[str, list[float]] = {}
    for family, gain_SE in arm.items():
        last_S = baseline[family][:, -1]
        picks = rng.integers(0, len(gain_SE), (RESAMPLES, len(gain_SE)))
        if last_S.mean() >= LEAST_GAIN:
            values[family] = _ratio(gain_SE.mean(axis=0), last_S.mean())
            drawn[family] = [_ratio(gain_SE[pick].mean(axis=0), last_S[pick].mean()) for pick in picks]
    by_family = {family: Ratio(value, *_percentiles(drawn[family])) for family, value in values.items()}
    missed = tuple(family for family, value in values.items() if value == NOT_REACHED)
    if not values:
        return Ratios({}, None, ())
    mean = Ratio(float(np.mean(list(values.values()))), *_percentiles(np.mean(list(drawn.values()), axis=0)))
    return Ratios(by_family, mean, missed)


def share_ratio(pairs: Sequence[tuple[Floats, Floats]], share: float, seed: int) -> Ratio:
    """Mean over families of an arm's ``evaluations_to`` over the baseline's, ``NOT_REACHED`` where the arm's is
    infinite; intervals as in ``match_ratios``.

    Args:
        pairs: (gain_SE of the arm, gain_SE of the baseline, which gets there) by family.
    """
    rng = np.random.default_rng(seed)
    values, drawn = [], []
    for arm_SE, base_SE in pairs:
        arm_S, base_S = _first(arm_SE, share), _first(base_SE, share)
        values.append(_quotient(_median(arm_S), _median(base_S)))
        picks = rng.integers(0, len(arm_S), (RESAMPLES, len(arm_S)))
        drawn.append([_quotient(_median(arm_S[pick]), _median(base_S[pick])) for pick in picks])
    return Ratio(float(np.mean(values)), *_percentiles(np.mean(drawn, axis=0)))


def _quotient(arm: float, baseline: float) -> float:
    """At most ``NOT_REACHED``, which also stands for what neither of them reaches."""
    return min(arm / baseline, NOT_REACHED) if math.isfinite(arm) and math.isfinite(baseline) else NOT_REACHED


def difference(arm_S: Floats, baseline_S: Floats) -> Interval:
    """Mean paired difference over the landscapes of a family, Student's t; without bounds for a single one."""
    d_SE = (arm_S - baseline_S)[:, None]
    mean = float(d_SE.mean())
    half = float(_half(d_SE)[0]) if len(d_SE) > 1 else math.inf
    return Interval(mean, mean - half, mean + half, len(d_SE))


def mean_difference(arm: Mapping[str, Floats], baseline: Mapping[str, Floats]) -> Interval:
    """Mean over families of the mean paired difference: se^2 = sum of var / S over families / families^2.

    The families are the ones asked about, not a sample of others, so that only landscapes are drawn by chance.
    """
    differences = [arm[family] - baseline[family] for family in arm]
    mean = float(np.mean([d.mean() for d in differences]))
    freedom = sum(len(d) - 1 for d in differences)
    if freedom == 0:
        return Interval(mean, -math.inf, math.inf, len(differences))
    variance = sum(float(np.var(d, ddof=1)) / len(d) for d in differences if len(d) > 1) / len(differences) ** 2
    half = _quantile(freedom) * math.sqrt(variance)
    return Interval(mean, mean - half, mean + half, freedom + len(differences))


def _ratio(mean_E: Floats, target: float) -> float:
    cost = cost_to_match(mean_E, target)
    return cost / len(mean_E) if math.isfinite(cost) else NOT_REACHED


def _percentiles(values: Sequence[float] | Floats) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def _half(value_SE: Floats) -> Floats:
    """Half width of the t interval of the mean over S."""
    count = len(value_SE)
    return np.asarray(_quantile(count - 1) * value_SE.std(axis=0, ddof=1) / math.sqrt(count))


def _quantile(freedom: int) -> float:
    from scipy.special import stdtrit  # takes long to import

    return float(stdtrit(freedom, (1 + CONFIDENCE) / 2))
