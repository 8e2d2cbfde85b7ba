"""One workflow in the tree."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from aflow_verl.workflow.state import WorkflowState

KAPPA = 2.0
"""Weight of the prior mean, in problems. Small beside a row's problems (6 and more), so measurements soon rule, and
enough that one lucky problem does not put a new node on top."""

ROOT_PRIOR_MEAN = 0.5
"""Prior mean score of the root: the middle of the range, nothing being known."""


def posterior_mean(grades: Mapping[str, float], prior_mean: float) -> float:
    """X = (sum of grades + KAPPA * prior_mean) / (n + KAPPA), in [0, 1]; the prior mean where n = 0.

    The sum is exactly rounded, so that X does not depend on the order in which grades came in.
    """
    return (math.fsum(grades.values()) + KAPPA * prior_mean) / (len(grades) + KAPPA)


@dataclass(frozen=True, slots=True)
class Node:
    """One workflow, its scores, and how it came to be. Raises ValueError for a score or log-probability not finite."""

    id: str
    """``state.hash``."""
    parent_id: str | None
    """The first parent; None for the root of this tree."""
    state: WorkflowState
    action: str = ""
    """The action that made it from its first parent: an edit key, or the modification text."""
    grades: Mapping[str, float] = field(default_factory=dict)
    """Problem id -> score in [0, 1]; every problem that the node was ever graded on. Never written to."""
    prior_mean: float = ROOT_PRIOR_MEAN
    """The parent's posterior mean when this node was made."""
    logprob: float | None = None
    """Length-normalised log-probability (nats per token) of the action under the policy that chose it."""
    visits: int = 0
    """Edits made of this node and of the nodes below it (along first parents)."""
    edits: int = 0
    """Edits made of this very node, invalid ones included."""
    step: int = 0
    """The training step that made it; 0 for the seed."""
    origin: str = ""
    """Which episode, import or search made it."""
    depth: int = 0
    """Edges from the root along first parents."""
    response_ids: tuple[int, ...] = ()
    """Token ids of the reply that made it, up to and including the end of turn; empty where unknown."""
    posterior_mean: float = field(init=False)
    """X, see the function of the same name."""

    def __post_init__(self) -> None:
        mean = posterior_mean(self.grades, self.prior_mean)
        if not math.isfinite(mean) or (self.logprob is not None and not math.isfinite(self.logprob)):
            raise ValueError(f"node {self.id}: grades and log-probability must be finite")
        object.__setattr__(self, "posterior_mean", mean)

    def visited(self, *, edited: bool) -> Node:
        """The node with one visit more. Backing up makes many of these, so what did not change is copied, not checked
        and summed up again."""
        twin = object.__new__(Node)
        for name in _COPIED:
            object.__setattr__(twin, name, getattr(self, name))
        object.__setattr__(twin, "visits", self.visits + 1)
        object.__setattr__(twin, "edits", self.edits + edited)
        return twin

    @property
    def mean(self) -> float:
        """Plain mean score, what AFlow ranks by; the prior mean where there are no grades."""
        return math.fsum(self.grades.values()) / len(self.grades) if self.grades else self.prior_mean


_COPIED = tuple(f.name for f in fields(Node) if f.name not in ("visits", "edits"))
