"""Reach: what a node promises, in absolute score.

    reach(c) = X(c) + gamma * max(0, V(c))      c has a measured score
    reach(c) = X(s) + Q(s, a)                   c, made from s by a, is still in evaluation
    reach(c) = X(c)                             nothing is known of its value

V is cut at 0 because nobody has to edit c: its own score is there already.
"""

from __future__ import annotations

from dataclasses import dataclass

from aflow_verl.search.node import Node
from aflow_verl.search.qvalues import QSnapshot, QValue
from aflow_verl.search.view import TreeView


@dataclass(frozen=True, slots=True)
class Promise:
    """What the critic says of one node, and what follows from it."""

    value: QValue | None
    """None without a QSnapshot, and where neither the node nor an ancestor is in it."""
    inherited: bool
    reach: float


def promise(tree: TreeView, node: Node, q: QSnapshot | None) -> Promise:
    """Looks the node's value up and makes its reach of it."""
    if q is None:
        return Promise(None, False, node.posterior_mean)
    value, inherited = q.lookup(node.id, tree.ancestors(node.id))
    parent_mean = tree[node.parent_id].posterior_mean if node.parent_id is not None else None
    return Promise(value, inherited, reach(node, value, parent_mean, q.gamma))


def reach(node: Node, value: QValue | None, parent_mean: float | None, gamma: float) -> float:
    """The formula at the top of the file; ``parent_mean`` is X(s), None for a root."""
    if value is None:
        return node.posterior_mean
    if not node.grades and value.q is not None and parent_mean is not None:
        return parent_mean + value.q
    return node.posterior_mean + gamma * max(0.0, value.v)


def gain_at(at: Node, candidate: Node, promised: Promise) -> float:
    """Q(s, a) of choosing ``candidate`` at node s = ``at``: the gain over s, in units of the score.

    Editing s itself promises V(s). A child promises the Q of the action that made it; V(s) where it is newer than
    the export (V(s) is the mean of Q(s, a) over the policy's actions); and ``reach(c) - X(s)`` where its Q belongs to
    another parent or its reply is unknown. 0 where nothing is known.
    """
    value = promised.value
    if value is None:
        return 0.0
    if candidate.id == at.id or promised.inherited:
        return value.v
    if value.q is not None and candidate.parent_id == at.id:
        return value.q
    return promised.reach - at.posterior_mean
