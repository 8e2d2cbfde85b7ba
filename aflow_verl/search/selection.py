"""What goes into a selector and what comes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from aflow_verl.errors import AflowVerlError
from aflow_verl.search.qvalues import QSnapshot
from aflow_verl.search.settings import SearchSettings
from aflow_verl.search.view import TreeView

Expandable = Callable[[str], bool]
"""node id -> whether the node has edits left that were not tried on it."""


class SearchExhausted(AflowVerlError):
    """No node of the tree can be edited any more."""


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything that a choice may depend on."""

    tree: TreeView
    q: QSnapshot | None
    settings: SearchSettings
    rng: np.random.Generator
    expandable: Expandable
    in_flight: Mapping[str, int]
    """Node id -> edits of that node under way; empty inside a training episode."""

    @property
    def alpha(self) -> float:
        """Weight of Q for a candidate of which it says something."""
        return 0.0 if self.q is None else self.settings.rl_weight


@dataclass(frozen=True, slots=True)
class Part:
    """One candidate of one comparison, with the numbers that decided."""

    at: str
    """The node at which it competed: itself for "edit here", the root for a flat selector."""
    node: str
    edit_here: bool
    x: float
    """Its mean score."""
    n: int
    """Visits; for "edit here" the edits of the node itself."""
    in_flight: int
    prior: float
    v: float | None
    q: float | None
    """Q as the fused score used it; None without a value."""
    inherited: bool
    reach: float
    exploration: float
    alpha: float
    """Weight of the critic that was applied to it."""
    score: float

    def to_json(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self)}


@dataclass(frozen=True, slots=True)
class Selected:
    """A selector's answer."""

    node_id: str
    parts: tuple[Part, ...]


Selector = Callable[[Situation], Selected]


@dataclass(frozen=True, slots=True)
class Choice:
    """The node to edit next, why, and what the same selector would have chosen without Q."""

    node_id: str
    parts: tuple[dict[str, Any], ...]
    """JSON-able, one per candidate of every comparison on the way; see ``Part``."""
    node_id_without_q: str
    """The choice with rl_weight 0 and the same random numbers."""
    alpha_effective: float
    """Mean over the candidates of the critic's weight that was applied; 0 without a QSnapshot."""
    candidates: int
    own_q: int
    """Candidates with a value of their own."""
    inherited_q: int
    """Candidates with the value of an ancestor."""
    snapshot_candidates: int
    """Candidates that are not new in this overlay: those that the last export could know."""
    snapshot_own_q: int
    """Those of them with a value of their own; their share is ``search/q_coverage``."""

    @property
    def changed_by_q(self) -> bool:
        return self.node_id != self.node_id_without_q
