"""What the critic says of workflows: the one thing of the search that the trainer knows.

V(s): what can be reached by editing the workflow s, an absolute score. Q(s, a): what can be reached by the edit a of s,
an absolute score too. Both are *promises*: the score now and what can still be gained. A ``QSnapshot`` holds V for all
nodes that were known at the last export, and how far the critic has proved right; selectors receive it as an argument.
Q(s, a) of an edit that has been made is V of the workflow that it made; that of a proposal is in ``screening``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class QSnapshot:
    """The promises of all nodes at one export. Raises ValueError where one is not finite."""

    weights_step: int
    """Step of the critic's weights."""
    values: Mapping[str, float]
    """Node id -> V."""
    node_confidence: float = 0.0
    """In [0, 1]: how far V has proved right (``confidence``); 0: it has earned no say."""
    edit_confidence: float = 0.0
    """The same of Q(s, a)."""
    stale: Mapping[str, int] = field(default_factory=dict)
    """Node id -> step of the weights, for values that are older than ``weights_step``."""

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, self.values.values())):
            raise ValueError("critic values must be finite")

    def lookup(self, node_id: str, ancestors: Iterable[str] = ()) -> tuple[float | None, bool]:
        """V and whether it is inherited: a node made since the export takes that of its nearest ancestor with one
        (``ancestors``: first parent first). (None, False) where no ancestor has a value either."""
        own = self.values.get(node_id)
        if own is not None:
            return own, False
        for ancestor_id in ancestors:
            found = self.values.get(ancestor_id)
            if found is not None:
                return found, True
        return None, False

    def extended(self, values: Mapping[str, float]) -> QSnapshot:
        """This snapshot and the values of nodes that it lacks; a node that it has keeps its own."""
        return replace(self, values={**values, **self.values})

    def outdated(self, node_ids: Iterable[str], weights_step: int) -> tuple[str, ...]:
        """Those of the nodes without a value from these weights."""
        return tuple(
            node_id
            for node_id in node_ids
            if node_id not in self.values or self.stale.get(node_id, self.weights_step) < weights_step
        )

    def to_json(self) -> dict[str, Any]:
        """JSON-able form for storage."""
        return {
            "weights_step": self.weights_step,
            "promises": dict(self.values),
            "node_confidence": self.node_confidence,
            "edit_confidence": self.edit_confidence,
            "stale": dict(self.stale),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> QSnapshot:
        """Inverse of ``to_json``. What an earlier version wrote were gains, in another unit: they are dropped."""
        return cls(
            weights_step=data["weights_step"],
            values=data.get("promises", {}),
            node_confidence=data.get("node_confidence", 0.0),
            edit_confidence=data.get("edit_confidence", 0.0),
            stale=data.get("stale", {}),
        )


@dataclass(frozen=True, slots=True)
class ScoreGroup:
    """What the critic is asked to score: one prompt, and replies to it that share its reading."""

    prompt_ids: tuple[int, ...]
    node_id: str | None
    """The node whose V is read at the last prompt token; None if that V is not wanted."""
    actions: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """(name, reply token ids up to and including the end of turn); Q is read at the last trained position, the token
    before the end of turn."""
