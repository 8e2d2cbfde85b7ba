"""What the critic says of the nodes: the one thing of the search that the trainer knows.

V(s): value at the last prompt token of a node's canonical prompt, the gain to expect from editing s.
Q(s, a): value at the last trained response position, the gain of the child that a made and of editing it further.
Both are gains in units of the score. A ``QSnapshot`` holds them for all nodes that were known at the last export,
stamped with the step of the weights that made them; selectors receive it as an argument.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
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


NO_ROW = -1
"""The row of a node that a ``QTable`` does not know."""


class QTable(Mapping[str, QValue]):
    """Node id -> QValue, kept as arrays: quick to send, and hundreds of values are read at once. Never written to.

    Raises ValueError where a value is not finite or an id comes twice.
    """

    def __init__(self, ids: Iterable[str], v_N: ArrayLike, q_N: ArrayLike, weights_step_N: ArrayLike) -> None:
        """``q_N``: NaN where there is no Q."""
        self.ids = tuple(ids)
        # One place more than nodes: NO_ROW, the last one, reads as "nothing known".
        self.v_or_nan = np.append(np.asarray(v_N, dtype=np.float64), np.nan)
        self.q_or_nan = np.append(np.asarray(q_N, dtype=np.float64), np.nan)
        self.weights_step_N = np.asarray(weights_step_N, dtype=np.int64)
        if not (len(self.v_or_nan) == len(self.q_or_nan) == len(self.weights_step_N) + 1 == len(self.ids) + 1):
            raise ValueError("a QTable needs one v, q and weights step for each id")
        if not np.isfinite(self.v_or_nan[:-1]).all() or np.isinf(self.q_or_nan).any():
            raise ValueError("critic values must be finite")
        self._rows: dict[str, int] | None = None

    @classmethod
    def of(cls, values: Mapping[str, QValue]) -> QTable:
        """The same values as a table."""
        if isinstance(values, QTable):
            return values
        found = list(values.values())
        q_N = [math.nan if value.q is None else value.q for value in found]
        return cls(values, [value.v for value in found], q_N, [value.weights_step for value in found])

    @property
    def _row_of(self) -> dict[str, int]:
        """Made at the first look: a table that only passes through a process never needs it."""
        if self._rows is None:
            self._rows = dict(zip(self.ids, range(len(self.ids)), strict=True))
            if len(self._rows) < len(self.ids):
                raise ValueError("a node id comes twice in a QTable")
        return self._rows

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_rows": None}

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[str]:
        return iter(self.ids)

    def __contains__(self, node_id: object) -> bool:
        return node_id in self._row_of

    def __getitem__(self, node_id: str) -> QValue:
        k = self._row_of[node_id]
        q = float(self.q_or_nan[k])
        return QValue(float(self.v_or_nan[k]), None if math.isnan(q) else q, int(self.weights_step_N[k]))

    def row(self, node_id: str) -> int:
        """Place of a node in the arrays; NO_ROW for one that is not there."""
        return self._row_of.get(node_id, NO_ROW)

    def rows(self, node_ids: Sequence[str]) -> NDArray[np.int64]:
        """``row`` of each."""
        places = map(self._row_of.get, node_ids, repeat(NO_ROW))
        return np.fromiter(places, dtype=np.int64, count=len(node_ids))


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
    """Node id -> values."""
    confidence: float = 0.0
    """In [0, 1]: how far V's order can be trusted; 0 below the minimum count."""
    rank_correlation: float | None = None
    """Spearman's rank correlation of V with known tree returns; None where it is undefined."""
    calibration: Calibration = UNCALIBRATED
    gamma: float = 0.95
    """Discount of the returns that the critic learned, so also of V in a node's reach."""
    table: QTable = field(init=False, repr=False, compare=False)
    """``values`` as arrays."""

    def __post_init__(self) -> None:
        table = QTable.of(self.values)
        object.__setattr__(self, "values", table)
        object.__setattr__(self, "table", table)

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
        ids = list(node_ids)
        rows = self.table.rows(ids)
        current = (rows != NO_ROW) & (np.append(self.table.weights_step_N, -1)[rows] >= weights_step)
        return tuple(node_id for node_id, fresh in zip(ids, current.tolist(), strict=True) if not fresh)

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
