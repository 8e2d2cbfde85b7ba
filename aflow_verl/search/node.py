"""One workflow in the tree."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from aflow_verl.workflow.state import WorkflowState

ROOT_PRIOR_MEAN = 0.5
"""Believed of a score of which nothing is known: the middle of the range."""
NO_WEIGHTS: Mapping[str, float] = {}


@dataclass(frozen=True, slots=True)
class Node:
    """One workflow, its grades, and how it came to be. Raises ValueError for a score or log-probability not finite."""

    id: str
    """``state.hash``."""
    parent_id: str | None
    """The first parent; None for the root of this tree."""
    state: WorkflowState
    action: str = ""
    """The action that made it from its first parent: an edit key, or the modification text."""
    grades: Mapping[str, float] = field(default_factory=dict)
    """Problem id -> score in [0, 1]; every problem that the node was ever graded on. Never written to."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """Problem id -> weight of that grade, where problems were drawn unequally (``env.problems``); 1 where missing."""
    prior_mean: float | None = None
    """Score that somebody else gave it, such as the AFlow workspace that it comes from; counts until it is graded."""
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
    failures: tuple[str, ...] = ()
    """Problems that it failed when it was graded last, as a prompt shows them."""
    mean: float = field(init=False)
    """Plain mean score, what AFlow ranks by; without grades the prior mean, or the middle of the range."""

    def __post_init__(self) -> None:
        mean = ROOT_PRIOR_MEAN if self.prior_mean is None else self.prior_mean
        if self.grades:  # exactly rounded, so that the order in which grades came in does not matter
            mean = math.fsum(self.grades.values()) / len(self.grades)
        others = (self.prior_mean or 0.0, self.logprob or 0.0, sum(self.weights.values()))
        if not all(map(math.isfinite, (mean, *others))):
            raise ValueError(f"node {self.id}: grades and log-probability must be finite")
        object.__setattr__(self, "mean", mean)

    def visited(self, *, edited: bool) -> Node:
        """The node with one visit more. Backing up makes many of these, so they are copied without a check."""
        twin = object.__new__(Node)
        for name in _COPIED:
            object.__setattr__(twin, name, getattr(self, name))
        object.__setattr__(twin, "visits", self.visits + 1)
        object.__setattr__(twin, "edits", self.edits + edited)
        return twin


_COPIED = tuple(f.name for f in fields(Node) if f.name not in ("visits", "edits"))
