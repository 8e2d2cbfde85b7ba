"""How far the critic's values can be trusted: against the tree returns that came to be known."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

MIN_RETURNS = 4
"""Nodes with known returns below which the values' confidence is 0: a rank correlation of three points says nothing."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """How far V is from the tree returns that are known."""

    count: int
    """Nodes compared."""
    bias: float
    """Mean of V - return; 0.0 for none."""
    mean_abs_error: float
    """Mean of |V - return|; 0.0 for none."""


UNCALIBRATED = Calibration(count=0, bias=0.0, mean_abs_error=0.0)


def calibrate(
    v: Mapping[str, float], known_returns: Mapping[str, Sequence[float]], min_count: int
) -> tuple[float | None, float, Calibration]:
    """(rank correlation, confidence, calibration) of V against the tree returns of the edits made of each node.

    The rank correlation is Spearman's, ties sharing their mean rank, between V(s) and the mean return of s, over the
    nodes that have both. It is None for fewer than two nodes and where either side is constant. The confidence is the
    correlation clipped to [0, 1], and 0 where it is None or fewer than ``min_count`` nodes are compared.
    """
    compared = [node_id for node_id in v if known_returns.get(node_id)]
    if not compared:
        return None, 0.0, UNCALIBRATED
    values = np.array([v[node_id] for node_id in compared], dtype=np.float64)
    returns = np.array([np.mean(known_returns[node_id]) for node_id in compared], dtype=np.float64)
    error = values - returns
    calibration = Calibration(len(compared), float(error.mean()), float(np.abs(error).mean()))
    correlation = _spearman(values, returns)
    if correlation is None or len(compared) < min_count:
        return correlation, 0.0, calibration
    return correlation, min(max(correlation, 0.0), 1.0), calibration


def _spearman(x: NDArray[np.float64], y: NDArray[np.float64]) -> float | None:
    if len(x) < 2 or np.ptp(x) == 0.0 or np.ptp(y) == 0.0:
        return None
    correlation = float(stats.spearmanr(x, y).statistic)
    return correlation if math.isfinite(correlation) else None
