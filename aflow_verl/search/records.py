"""What a private overlay added to the tree, as plain records: picklable, and JSON-able for the store.

A delta is the overlay's log in the order in which things happened. Replaying it on the tree that the overlay stood on
gives the same tree again; replaying it on a tree that has grown meanwhile merges the two (``Tree.merged``).
JSON and not pickle is what the store keeps: reading a foreign file must never run code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from aflow_verl.workflow.state import WorkflowState


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """A new workflow, made by ``action`` from ``parent_id``."""

    node_id: str
    parent_id: str
    state: WorkflowState
    action: str
    grades: Mapping[str, float]
    weights: Mapping[str, float] = field(default_factory=dict)
    """Of grades on problems that were drawn unequally; 1 where missing."""
    failures: tuple[str, ...] = ()
    """Problems that it failed, as a prompt shows them."""
    prior_mean: float | None = None
    """Score that an imported workflow came with."""
    logprob: float | None = None
    origin: str = ""


@dataclass(frozen=True, slots=True)
class EdgeRecord:
    """A further way from ``parent_id`` to a workflow that was known already."""

    parent_id: str
    child_id: str
    action: str


@dataclass(frozen=True, slots=True)
class TriedRecord:
    """An action that was tried on a node and made no new edge: invalid, no change, or a way back to an ancestor."""

    node_id: str
    action: str


@dataclass(frozen=True, slots=True)
class GradeRecord:
    """Scores of a known node on problems that it had no score on, and what it failed when it was graded last."""

    node_id: str
    grades: Mapping[str, float]
    weights: Mapping[str, float] = field(default_factory=dict)
    failures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VisitRecord:
    """The node was chosen and edited once; the visit is backed up along the first parents of the tree it lands in."""

    node_id: str


Record = NodeRecord | EdgeRecord | TriedRecord | GradeRecord | VisitRecord

_KINDS: dict[str, type[Record]] = {
    "node": NodeRecord,
    "edge": EdgeRecord,
    "tried": TriedRecord,
    "grade": GradeRecord,
    "visit": VisitRecord,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}
_RETIRED = ("response_ids",)
"""Fields of records that earlier versions wrote."""


@dataclass(frozen=True, slots=True)
class TreeDelta:
    """Everything that one overlay added, in order."""

    records: tuple[Record, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.records)


def state_to_json(state: WorkflowState) -> dict[str, Any]:
    """The fields of a state as JSON-able values."""
    return {f.name: _plain(getattr(state, f.name)) for f in fields(state) if f.init}


def state_from_json(data: Mapping[str, Any]) -> WorkflowState:
    """Inverse of ``state_to_json``."""
    return WorkflowState(**{name: _frozen(value) for name, value in data.items()})


def delta_to_json(delta: TreeDelta) -> list[dict[str, Any]]:
    """One JSON object per record; ``kind`` says which."""
    return [_record_to_json(record) for record in delta.records]


def delta_from_json(data: list[dict[str, Any]]) -> TreeDelta:
    """Inverse of ``delta_to_json``. Raises KeyError or TypeError on anything else."""
    return TreeDelta(tuple(_record_from_json(item) for item in data))


def _record_to_json(record: Record) -> dict[str, Any]:
    data: dict[str, Any] = {"kind": _NAMES[type(record)]}
    for f in fields(record):
        value = getattr(record, f.name)
        data[f.name] = state_to_json(value) if isinstance(value, WorkflowState) else _plain(value)
    return data


def _record_from_json(data: Mapping[str, Any]) -> Record:
    values = {name: _frozen(value) for name, value in data.items() if name not in ("kind", "state", *_RETIRED)}
    if "state" in data:
        values["state"] = state_from_json(data["state"])
    return _KINDS[data["kind"]](**values)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return dict(value) if isinstance(value, Mapping) else value


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
