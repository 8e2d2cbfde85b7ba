"""The numbers of many nodes side by side, so that a selector compares hundreds of candidates at once.

A ``Columns`` is a view that is kept in step with the tree: one of all nodes of a tree (what a flat selector scans), or
a *fan*, the candidates at one node: entry 0 is the node itself ("edit here"), the others are its children in order of
discovery. K is the number of entries. Rows of a fan differ from those of the whole tree in one thing: entry 0 counts
the edits of the node itself, not the visits below it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from aflow_verl.search.gains import Floats, GainCache, Gains, Grades
from aflow_verl.search.node import Node
from aflow_verl.search.qvalues import NO_ROW, QSnapshot, QTable

Bools = NDArray[np.bool_]
T = TypeVar("T")

X, MEAN, VISITS, LOGPROB, GRADED, FIRST_EDGE, _ROWS = range(7)
"""Rows of the table. X: posterior mean; LOGPROB: NaN where unknown; FIRST_EDGE: 1 where the node of the fan is the
entry's first parent."""
_ROOM = 8
"""Entries of a new table; it doubles when it is full."""
_KEPT = 16
"""Results that a view keeps, at most: some for each of the last few snapshots."""


class Lineage(Protocol):
    """The part of a tree that inheriting a value needs."""

    def ancestors(self, node_id: str) -> Iterable[str]:
        """First parent, its first parent, ..."""
        ...


class CriticColumns:
    """What a QSnapshot says of K entries."""

    __slots__ = ("inherited", "known", "q", "rise", "v")

    def __init__(self, v: Floats, q: Floats, inherited: Bools) -> None:
        self.v = v
        """NaN where nothing is known."""
        self.q = q
        """NaN where there is none; an inherited value has none."""
        self.inherited = inherited
        self.known: Bools = ~np.isnan(v)
        self.rise: Floats = np.where(v > 0.0, v, 0.0)
        """max(0, V); 0 where nothing is known."""

    def replaced(self, at: NDArray[np.int64], fresh: CriticColumns) -> CriticColumns:
        """The same with other values at these places."""
        v, q, inherited = self.v.copy(), self.q.copy(), self.inherited.copy()
        v[at], q[at], inherited[at] = fresh.v, fresh.q, fresh.inherited
        return CriticColumns(v, q, inherited)


class Columns:
    """See the top of the file. ``at``: the node of a fan; None for all nodes of a tree."""

    __slots__ = ("_critic", "_critic_of", "_gains", "_kept", "_table", "at", "grades", "ids", "index")

    def __init__(self, nodes: Iterable[Node], at: str | None = None) -> None:
        self.at = at
        self.ids: list[str] = []
        self.index: dict[str, int] = {}
        self.grades: list[Grades] = []
        self._gains = GainCache()
        self._table: Floats = np.empty((_ROWS, _ROOM))
        self._critic_of: QTable | None = None
        self._critic: CriticColumns | None = None
        self._kept: dict[Hashable, Any] = {}
        for node in nodes:
            self.put(node)

    def __len__(self) -> int:
        return len(self.ids)

    def copy(self) -> Columns:
        """One that can be written to without changing this one."""
        twin = Columns((), self.at)
        twin.ids, twin.index, twin.grades = self.ids.copy(), self.index.copy(), self.grades.copy()
        twin._table = self._table.copy()
        twin._critic_of, twin._critic = self._critic_of, self._critic
        return twin

    def put(self, node: Node) -> None:
        """A new node, or what has become of a known one."""
        self._kept.clear()
        k = self.index.get(node.id)
        if k is None:
            k = self.index[node.id] = len(self.ids)
            self.ids.append(node.id)
            self.grades.append(node.grades)
            if k == self._table.shape[1]:
                self._table = np.concatenate([self._table, np.empty_like(self._table)], axis=1)
        self.grades[k] = node.grades
        here = node.id == self.at
        self._table[:, k] = (
            node.posterior_mean,
            node.mean,
            node.edits if here else node.visits,
            np.nan if node.logprob is None or here else node.logprob,
            bool(node.grades),
            here or node.parent_id == self.at,
        )

    def count(self, node: Node) -> None:
        """A known node of which nothing but the visits has changed."""
        k = self.index[node.id]
        self._table[VISITS, k] = node.edits if node.id == self.at else node.visits

    def row(self, which: int) -> Floats:
        """One row, [K]; read it only."""
        return self._table[which, : len(self.ids)]

    def kept(self, key: Hashable, make: Callable[[], T]) -> T:
        """What ``make`` made of the entries, until one of them changes in more than its visits. Never write to it."""
        if key not in self._kept:
            if len(self._kept) == _KEPT:
                self._kept.clear()
            self._kept[key] = make()
        found: T = self._kept[key]
        return found

    def ungraded(self) -> list[int]:
        """Places of the entries without a measured score."""
        return self.kept("ungraded", lambda: np.flatnonzero(self.row(GRADED) == 0.0).tolist())

    def gains(self) -> Gains:
        """Of a fan: the children's paired gains over its node."""
        return self._gains.of(self.grades)

    def critic(self, q: QSnapshot, lineage: Lineage) -> CriticColumns:
        """The snapshot's values of these entries; made once for a snapshot, and extended for new entries, or where
        the snapshot was."""
        known = self._known(q.table, lineage)
        start = 0 if known is None else len(known.v)
        if known is None or start < len(self.ids):
            fresh = _look_up(self.ids[start:], q.table, lineage)
            known = fresh if known is None else _joined(known, fresh)
            self._critic_of, self._critic = q.table, known
        return known

    def _known(self, values: QTable, lineage: Lineage) -> CriticColumns | None:
        """What was looked up before and still holds; None for another snapshot."""
        if self._critic is None or self._critic_of is None or self._critic_of is values:
            return self._critic
        if not values.continues(self._critic_of):
            return None
        without_own_K = np.flatnonzero(self._critic.inherited | ~self._critic.known)
        fresh = _look_up([self.ids[k] for k in without_own_K.tolist()], values, lineage)
        self._critic_of, self._critic = values, self._critic.replaced(without_own_K, fresh)
        return self._critic


def _look_up(ids: list[str], values: QTable, lineage: Lineage) -> CriticColumns:
    rows = values.rows(ids)
    own = rows != NO_ROW
    # NO_ROW is the last place of the table, where a NaN stands for "nothing known".
    v, q = values.v_or_nan[rows], values.q_or_nan[rows]
    inherited = np.zeros(len(ids), dtype=np.bool_)
    for k in np.flatnonzero(~own).tolist():
        found = next((row for a in lineage.ancestors(ids[k]) if (row := values.row(a)) != NO_ROW), NO_ROW)
        v[k], inherited[k] = values.v_or_nan[found], found != NO_ROW
    return CriticColumns(v, q, inherited)


def _joined(first: CriticColumns, second: CriticColumns) -> CriticColumns:
    return CriticColumns(
        np.concatenate([first.v, second.v]),
        np.concatenate([first.q, second.q]),
        np.concatenate([first.inherited, second.inherited]),
    )


def scattered(counts: Mapping[str, int], columns: Columns) -> Floats:
    """Counts by node id as a row of [K], 0 for the others."""
    row_K = np.zeros(len(columns))
    for node_id, count in counts.items():
        if (k := columns.index.get(node_id)) is not None:
            row_K[k] = count
    return row_K
