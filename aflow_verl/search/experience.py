"""What was tried and what came of it: one pool per benchmark, shared by all episodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any


@dataclass(frozen=True, slots=True)
class ExperienceRecord:
    """One expansion: an edit of ``parent`` and what it brought."""

    parent: str
    """Node id."""
    child: str | None
    """Node id; None for an invalid reply."""
    modification: str
    """The edit in words."""
    before: float
    """The parent's mean score on the compared problems."""
    after: float | None
    """The child's, on the same ones; None for an invalid reply."""
    problems: int
    """Problems compared."""
    interval: tuple[float, float] | None
    """Confidence interval of the paired gain; None for an invalid reply."""
    operators: tuple[str, ...] = ()
    """Operators that the child uses."""
    cost_usd: float = 0.0
    weights_step: int | None = None
    """Step of the policy weights that wrote the edit; None where no trained policy did."""
    origin: str = ""
    """Which episode, import or search."""
    step: int = 0
    tree_return: float | None = None
    """Its discounted return along the tree's edges within its episode, what V(parent) is compared with."""
    surprise: float | None = None
    """|V(parent) - tree return|; None where there was no V."""

    @property
    def gain(self) -> float | None:
        """Paired gain, after - before; None for an invalid reply."""
        return None if self.after is None else self.after - self.before

    def to_json(self) -> dict[str, Any]:
        """JSON-able form for storage."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ExperienceRecord:
        """Inverse of ``to_json``, also after a round trip through JSON text."""
        interval = data["interval"]
        frozen = {"operators": tuple(data["operators"]), "interval": None if interval is None else tuple(interval)}
        return cls(**{**data, **frozen})


class ExperiencePool:
    """An immutable sequence of records, oldest first."""

    def __init__(self, records: Iterable[ExperienceRecord] = ()) -> None:
        self._records = tuple(records)

    @cached_property
    def _by_parent(self) -> Mapping[str, tuple[ExperienceRecord, ...]]:
        """Most questions are about one node; made at the first of them."""
        found: dict[str, list[ExperienceRecord]] = {}
        for record in self._records:
            found.setdefault(record.parent, []).append(record)
        return {parent: tuple(records) for parent, records in found.items()}

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[ExperienceRecord]:
        return iter(self._records)

    def extended(self, records: Iterable[ExperienceRecord]) -> ExperiencePool:
        """A pool with these records after the present ones."""
        return ExperiencePool((*self._records, *records))

    def edits_of(self, node: str) -> tuple[ExperienceRecord, ...]:
        """Records of edits of this node."""
        return self._by_parent.get(node, ())
