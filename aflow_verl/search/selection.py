"""What goes into a selector and what comes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from aflow_verl.config import SearchConfig
from aflow_verl.errors import AflowVerlError
from aflow_verl.search.columns import Columns, CriticColumns
from aflow_verl.search.comparison import Comparison
from aflow_verl.search.qvalues import QSnapshot
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
    settings: SearchConfig
    rng: np.random.Generator
    expandable: Expandable | None
    """None: every node, however many."""
    in_flight: Mapping[str, int]
    """Node id -> edits of that node under way; empty inside a training episode."""
    shared: dict[str, Any] = field(default_factory=dict, compare=False)
    """By node id, what a selector has found out there without asking the critic: the choice with Q and that without
    it have it in common."""

    @property
    def uses_q(self) -> bool:
        return self.q is not None and self.settings.rl_weight > 0.0

    def can_edit(self, node_id: str) -> bool:
        return self.expandable is None or self.expandable(node_id)

    def critic(self, columns: Columns) -> CriticColumns:
        """The critic's values of these entries; nothing is known without a QSnapshot."""
        if self.q is not None:
            return columns.critic(self.q, self.tree)
        return columns.kept("nothing known", lambda: _nothing_known(len(columns)))


def _nothing_known(count: int) -> CriticColumns:
    unknown_K = np.full(count, np.nan)
    return CriticColumns(unknown_K, unknown_K, np.zeros(count, dtype=np.bool_))


@dataclass(frozen=True, slots=True)
class Selected:
    """A selector's answer."""

    node_id: str
    comparisons: tuple[Comparison, ...]
    """In the order in which they were made."""


Selector = Callable[[Situation], Selected]


@dataclass(frozen=True, slots=True)
class Choice:
    """The node to edit next, why, and what the same selector would have chosen without Q."""

    node_id: str
    comparisons: tuple[Comparison, ...]
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

    @property
    def parts(self) -> tuple[dict[str, Any], ...]:
        """JSON-able, one per candidate of every comparison on the way; see ``Part``."""
        return tuple(part.to_json() for comparison in self.comparisons for part in comparison.parts())
