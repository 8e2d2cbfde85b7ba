"""What the critic says of the nodes: the one thing of the search that the trainer knows.

V(s): value at the last prompt token of a node's canonical prompt, the gain to expect from editing s.
Q(s, a): value at the last trained response position, the gain of the child that a made and of editing it further.
Both are gains in units of the score. A ``QSnapshot`` holds them for all nodes that were known at the last export,
stamped with the step of the weights that made them; selectors receive it as an argument.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats


@dataclass(frozen=True, slots=True)
class QValue:
    """The critic's values of one node. Raises ValueError where one is not finite."""

    v: float
    q: float | None
    """Q of the action that made the node from its first parent; None for a root and where the reply is unknown."""
    weights_step: int
    """Step of the critic weights that gave them."""

    def __post_init__(self) -> None:
        if not math.isfinite(self.v) or (self.q is not None and not math.isfinite(self.q)):
            raise ValueError(f"critic values must be finite, got v={self.v}, q={self.q}")


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


@dataclass(frozen=True, slots=True)
class QSnapshot:
    """The values of all nodes at one export."""

    weights_step: int
    values: Mapping[str, QValue]
    """Node id -> values. Never written to."""
    confidence: float = 0.0
    """In [0, 1]: how far V's order can be trusted; 0 below the minimum count."""
    rank_correlation: float | None = None
    """Spearman's rank correlation of V with known tree returns; None where it is undefined."""
    calibration: Calibration = UNCALIBRATED
    gamma: float = 0.95
    """Discount of the returns that the critic learned, so also of V in a node's reach."""

    def lookup(self, node_id: str, ancestors: Iterable[str] = ()) -> tuple[QValue | None, bool]:
        """The node's values and whether they are inherited.

        A node made since the export takes the V of its nearest ancestor that has one (``ancestors``: first parent
        first) and has no Q. (None, False) where no ancestor has a value either.
        """
        own = self.values.get(node_id)
        if own is not None:
            return own, False
        for ancestor_id in ancestors:
            found = self.values.get(ancestor_id)
            if found is not None:
                return QValue(found.v, None, found.weights_step), True
        return None, False

    def stale(self, node_ids: Iterable[str], weights_step: int) -> tuple[str, ...]:
        """Those of the nodes without a value from these weights."""
        values = self.values
        return tuple(i for i in node_ids if (found := values.get(i)) is None or found.weights_step < weights_step)

    def to_json(self) -> dict[str, Any]:
        """JSON-able form for storage."""
        return {
            "weights_step": self.weights_step,
            "values": {node_id: [value.v, value.q, value.weights_step] for node_id, value in self.values.items()},
            "confidence": self.confidence,
            "rank_correlation": self.rank_correlation,
            "calibration": [self.calibration.count, self.calibration.bias, self.calibration.mean_abs_error],
            "gamma": self.gamma,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> QSnapshot:
        """Inverse of ``to_json``."""
        return cls(
            weights_step=data["weights_step"],
            values={node_id: QValue(*value) for node_id, value in data["values"].items()},
            confidence=data["confidence"],
            rank_correlation=data["rank_correlation"],
            calibration=Calibration(*data["calibration"]),
            gamma=data["gamma"],
        )


@dataclass(frozen=True, slots=True)
class ScoreGroup:
    """What the critic is asked to score: one prompt and the replies to it, so that siblings share the prompt."""

    prompt_ids: tuple[int, ...]
    node_id: str | None
    """The node whose V is read at the last prompt token; None if that V is not wanted."""
    actions: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """(child id, reply token ids up to and including the end of turn); the child's Q is read at the last trained
    position, the token before the end of turn."""


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
