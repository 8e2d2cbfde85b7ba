"""What the search knows, as lines of a prompt; used where an episode shows a node and where the critic scores one."""

from __future__ import annotations

from aflow_verl.search.statistics import paired_interval
from aflow_verl.search.tree import TreeView


def experience_lines(tree: TreeView, node_id: str) -> tuple[str, ...]:
    """What was tried on this node, each with its paired gain and interval; nothing for a node the tree lacks."""
    if node_id not in tree:
        return ()
    lines = []
    for child in (tree[child_id] for child_id in tree.children(node_id)):
        gain = paired_interval(child.grades, tree[node_id].grades)
        if gain.n:
            lines.append(f"{gain.mean:+.2f} [{gain.low:+.2f}, {gain.high:+.2f}] on {gain.n} problems: {child.action}")
    return tuple(lines)
