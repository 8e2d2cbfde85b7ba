"""What the search knows, as lines of a prompt; used where an episode shows a node and where the critic scores one."""

from __future__ import annotations

from aflow_verl.search.node import Node
from aflow_verl.search.tree import TreeView
from aflow_verl.statistics import paired_interval


def experience_lines(tree: TreeView, node_id: str) -> tuple[str, ...]:
    """What was tried on this node: what helped, best first, then what did not, each with its paired gain and interval.

    Two workflows that share no problem, such as rounds of an imported AFlow workspace, are compared by their means, and
    the line says so. Nothing for a node that the tree lacks.
    """
    if node_id not in tree:
        return ()
    node = tree[node_id]
    tried = sorted(
        (_compared(tree[child_id], node) for child_id in tree.children(node_id)), key=lambda found: -found[0]
    )
    return tuple(line for _, line in tried)


def _compared(child: Node, node: Node) -> tuple[float, str]:
    """(gain, line)."""
    gain = paired_interval(child.grades, node.grades)
    if gain.n:
        return gain.mean, f"{gain.mean:+.2f} [{gain.low:+.2f}, {gain.high:+.2f}] on {gain.n} problems: {child.action}"
    difference = child.mean - node.mean
    return difference, f"{difference:+.2f} between mean scores, on no problem both: {child.action}"
