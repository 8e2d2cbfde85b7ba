"""Returns along the tree's edges: what an edit brought, and what came of editing on from there.

    y(s, a -> c) = r + gamma * max(0, max over the edits of c of y)          tree return, a gain

The downside of later edits is cut off, because nobody has to keep them. For critic targets r is the shrunk paired gain
X(c) - X(s) and everything that the shared tree knows below c counts, whoever found it: that is how an edit that pays at
once and leads nowhere is told from one that pays later. In score units

    Q(s, a) = X(s) + y = X(c) + gamma * max(0, future(c))
    V(s)    = expectile_tau of Q(s, a) over the edits made of s, X(s) among them      (Newey and Powell, 1987)

V is an upper value, not the mean over the policy's edits: a search keeps the good ones and leaves the others alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aflow_verl.search.view import TreeView

EXPECTILE = 0.8
"""tau: a value above the expectile pulls four times as hard as one below."""


def futures(tree: TreeView, gamma: float) -> dict[str, float]:
    """Node id -> max(0, max over its children c of X(c) - X(s) + gamma * future(c)), along all edges."""
    x = tree.estimates().x
    future: dict[str, float] = {}
    for top in x:
        if top in future:
            continue
        stack = [top]  # depth first without recursion: trees may be deeper than Python's stack
        while stack:
            node_id = stack[-1]
            unknown = [child for child in tree.children(node_id) if child not in future]
            if unknown:
                stack.extend(unknown)
                continue
            stack.pop()
            future[node_id] = max(
                (x[child] - x[node_id] + gamma * future[child] for child in tree.children(node_id)), default=0.0
            )
            future[node_id] = max(0.0, future[node_id])
    return future


def edit_promise(x: float, future: float, gamma: float) -> float:
    """Q(s, a) of an edit whose child has this X and this future."""
    return x + gamma * future


def upper_value(promises: Sequence[float], tau: float = EXPECTILE) -> float:
    """The tau-expectile of some numbers: the m with tau * sum (y - m)+ = (1 - tau) * sum (m - y)+.

    Raises ValueError for none. Found by sorting: m is a weighted mean in which the numbers above it weigh tau and those
    below 1 - tau, and one split of the sorted numbers is consistent with it.
    """
    ordered = sorted(promises)
    if not ordered:
        raise ValueError("an expectile of nothing")
    total = sum(ordered)
    below = 0.0
    for k, value in enumerate(ordered):
        # the first k numbers below m, the others above it
        weighted = (1.0 - tau) * below + tau * (total - below)
        m = weighted / ((1.0 - tau) * k + tau * (len(ordered) - k))
        if m <= value:
            return m
        below += value
    return ordered[-1]


def node_promises(tree: TreeView, gamma: float, future: Mapping[str, float] | None = None) -> dict[str, float]:
    """V of every node that was edited, by what the tree knows; see the top of the file."""
    x = tree.estimates().x
    known = futures(tree, gamma) if future is None else future
    return {
        node_id: upper_value([x[node_id], *(edit_promise(x[c], known[c], gamma) for c in tree.children(node_id))])
        for node_id in x
        if tree.children(node_id)
    }
