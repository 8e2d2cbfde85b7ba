"""The score of a round: what tables, AFlow's convergence rule and an editor are told of a workflow."""

from __future__ import annotations

import statistics

from aflow_verl.search.node import Node
from aflow_verl.search.view import TreeView


def is_whole(tree: TreeView, node: Node) -> bool:
    """Whether it was graded on all problems of the seed, which is graded on all that there are."""
    return bool(node.grades) and tree.root.grades.keys() <= node.grades.keys()


def score_of(tree: TreeView, node_id: str) -> float:
    """The mean score on all problems; X of a workflow that was graded on a part of them, or on none.

    A mean over a part says as much of the part as of the workflow; X compares it with its parent on the same problems.
    """
    node = tree[node_id]
    return node.mean if is_whole(tree, node) else tree.x(node_id)


def error_of(tree: TreeView, node_id: str) -> float:
    """Standard error of ``score_of``; 0 for a mean over fewer than two problems."""
    node = tree[node_id]
    if not is_whole(tree, node):
        return tree.estimates().sd[node_id]
    given = list(node.grades.values())
    return statistics.stdev(given) / len(given) ** 0.5 if len(given) > 1 else 0.0
