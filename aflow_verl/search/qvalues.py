"""What the critic says of the nodes: the one thing of the search that the trainer knows.

V(s): value at the last prompt token of a node's canonical prompt, the gain to expect from editing s.
Q(s, a): value at the last trained response position, the gain of the child that a made and of editing it further.
Both are gains in units of the score. A ``QSnapshot`` holds them for all nodes that were known at the last export,
stamped with the step of the weights that made them; selectors receive it as an argument.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aflow_verl.search.calibration import MIN_RETURNS, UNCALIBRATED, Calibration, calibrate


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


_ANY_STEP = -1
"""Below every step of weights: a value of any age will do."""
NO_ROW = -1
"""The row of a node that a ``QTable`` does not know."""


class QTable(Mapping[str, QValue]):
    """Node id -> QValue, kept as arrays: quick to send, and hundreds of values are read at once. Never written to.

    Raises ValueError where a value is not finite or an id comes twice.
    """

    def __init__(
        self,
        ids: Iterable[str],
        v_N: ArrayLike,
        q_N: ArrayLike,
        weights_step_N: ArrayLike,
        extends: QTable | None = None,
    ) -> None:
        """``q_N``: NaN where there is no Q. ``extends``: a table whose entries are the first ones of this one."""
        self.ids = tuple(ids)
        self._extends = extends
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

    def extended(self, values: Mapping[str, QValue]) -> QTable:
        """This table and the values of nodes that it lacks. The look-up of what is known stays as it is."""
        more = {node_id: value for node_id, value in values.items() if node_id not in self}
        if not more:
            return self
        new = QTable.of(more)
        return QTable(
            self.ids + new.ids,
            np.concatenate([self.v_or_nan[:-1], new.v_or_nan[:-1]]),
            np.concatenate([self.q_or_nan[:-1], new.q_or_nan[:-1]]),
            np.concatenate([self.weights_step_N, new.weights_step_N]),
            extends=self._extends or self,
        )

    def continues(self, other: QTable) -> bool:
        """Whether this table is ``other`` with more nodes: what was read of the nodes that ``other`` has holds here."""
        if (self._extends or self) is not (other._extends or other):
            return False
        start, end = other._own_start, len(other)
        return (
            self.ids[start:end] == other.ids[start:]
            and np.array_equal(self.v_or_nan[start:end], other.v_or_nan[start:-1])
            and np.array_equal(self.q_or_nan[start:end], other.q_or_nan[start:-1], equal_nan=True)
        )

    @property
    def _own_start(self) -> int:
        return 0 if self._extends is None else len(self._extends)

    @property
    def _row_of(self) -> dict[str, int]:
        """Of the nodes that are not in the table that this one extends. Made at the first look: a table that only
        passes through a process never needs it."""
        if self._rows is None:
            own = range(self._own_start, len(self.ids))
            self._rows = dict(zip(self.ids[own.start :], own, strict=True))
            if len(self._rows) < len(own):
                raise ValueError("a node id comes twice in a QTable")
        return self._rows

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_rows": None}

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[str]:
        return iter(self.ids)

    def __contains__(self, node_id: object) -> bool:
        return node_id in self._row_of or (self._extends is not None and node_id in self._extends)

    def __getitem__(self, node_id: str) -> QValue:
        k = self.row(node_id)
        if k == NO_ROW:
            raise KeyError(node_id)
        q = float(self.q_or_nan[k])
        return QValue(float(self.v_or_nan[k]), None if math.isnan(q) else q, int(self.weights_step_N[k]))

    def row(self, node_id: str) -> int:
        """Place of a node in the arrays; NO_ROW for one that is not there."""
        found = self._row_of.get(node_id, NO_ROW)
        return self._extends.row(node_id) if found == NO_ROW and self._extends is not None else found

    def rows(self, node_ids: Sequence[str]) -> NDArray[np.int64]:
        """``row`` of each."""
        if self._extends is None:
            if len(node_ids) == len(self.ids) and self.ids == tuple(node_ids):
                return np.arange(len(self.ids))  # an export of the same tree: no need for a look-up of its own
            places = map(self._row_of.get, node_ids, repeat(NO_ROW))
            return np.fromiter(places, dtype=np.int64, count=len(node_ids))
        rows = self._extends.rows(node_ids)
        for k in np.flatnonzero(rows == NO_ROW).tolist():
            rows[k] = self._row_of.get(node_ids[k], NO_ROW)
        return rows


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

    def extended(self, values: Mapping[str, QValue]) -> QSnapshot:
        """This snapshot and the values of nodes that it lacks; a node that it has keeps its own."""
        return replace(self, values=self.table.extended(values))

    def without_value(self, node_ids: Iterable[str]) -> tuple[str, ...]:
        """Those of the nodes that this snapshot says nothing of."""
        return self.stale(node_ids, _ANY_STEP)

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


def calibrated(
    values: Mapping[str, QValue], known_returns: Mapping[str, Sequence[float]], *, weights_step: int, gamma: float
) -> QSnapshot:
    """A snapshot of these values, compared with the tree returns of the edits made of each node."""
    v_of = {node_id: value.v for node_id, value in values.items()}
    correlation, confidence, calibration = calibrate(v_of, known_returns, MIN_RETURNS)
    return QSnapshot(weights_step, values, confidence, correlation, calibration, gamma)
