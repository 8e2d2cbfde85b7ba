"""What was tried and what came of it: one pool per benchmark, shared by all episodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Literal

import numpy as np

from aflow_verl.search import sampling

Outcome = Literal["helped", "hurt", "same", "invalid"]


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

    @property
    def outcome(self) -> Outcome:
        if self.gain is None:
            return "invalid"
        return "helped" if self.gain > 0 else "hurt" if self.gain < 0 else "same"

    @property
    def line(self) -> str:
        """What a prompt shows of it, e.g. ``+0.17 [-0.05, +0.39] on 6 problems: insert Programmer``."""
        if self.gain is None:
            return f"not usable: {self.modification}"
        bounds = "" if self.interval is None else f" [{self.interval[0]:+.2f}, {self.interval[1]:+.2f}]"
        return f"{self.gain:+.2f}{bounds} on {self.problems} problems: {self.modification}"

    def to_json(self) -> dict[str, Any]:
        """JSON-able form for storage."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ExperienceRecord:
        """Inverse of ``to_json``, also after a round trip through JSON text."""
        interval = data["interval"]
        frozen = {"operators": tuple(data["operators"]), "interval": None if interval is None else tuple(interval)}
        return cls(**{**data, **frozen})


@dataclass(frozen=True, slots=True)
class Shown:
    """What a prompt shows of the edits of one node."""

    helped: tuple[ExperienceRecord, ...]
    """Largest gain first."""
    hurt: tuple[ExperienceRecord, ...]
    """Largest loss first."""


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

    def query(
        self,
        *,
        node: str | None = None,
        operator: str | None = None,
        outcome: Outcome | None = None,
        min_after: float | None = None,
    ) -> tuple[ExperienceRecord, ...]:
        """Records of edits of ``node``, whose child uses ``operator``, with this outcome, scoring ``min_after`` or
        more; None asks for any."""
        records = self._records if node is None else self._by_parent.get(node, ())
        return tuple(
            record
            for record in records
            if (operator is None or operator in record.operators)
            and (outcome is None or record.outcome == outcome)
            and (min_after is None or (record.after is not None and record.after >= min_after))
        )

    def shown(self, node: str, limit: int = 3) -> Shown:
        """The edits of this node that helped and hurt most, at most ``limit`` of each, each edit once (its latest
        record)."""
        latest = {record.modification: record for record in self.query(node=node)}
        ranked = sorted(latest.values(), key=lambda record: record.gain or 0.0)
        helped = [record for record in reversed(ranked) if record.outcome == "helped"]
        hurt = [record for record in ranked if record.outcome == "hurt"]
        return Shown(tuple(helped[:limit]), tuple(hurt[:limit]))

    def sample(self, how: str, size: int, rng: np.random.Generator) -> tuple[ExperienceRecord, ...]:
        """At most ``size`` different records, by a rule of ``sampling.SAMPLERS``."""
        return sampling.sample(how, self._records, size, rng)
