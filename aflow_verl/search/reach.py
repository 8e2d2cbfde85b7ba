"""What the critic promises of candidates: reach, an absolute score, and the gain over the node where they compete.

    reach(c) = X(c) + gamma * max(0, V(c))      c has a measured score
    reach(c) = X(s) + Q(s, a)                   c, made from s by a, is still in evaluation
    reach(c) = X(c)                             nothing is known of its value

V is cut at 0 because nobody has to edit c: its own score is there already.
"""

from __future__ import annotations

import numpy as np

from aflow_verl.search.columns import FIRST_EDGE, Columns, CriticColumns, Floats, X
from aflow_verl.search.view import TreeView


def lift(tree: TreeView, columns: Columns, critic: CriticColumns, gamma: float) -> Floats:
    """reach - X of the K entries, by the formula at the top of the file."""
    lift_K: Floats = gamma * critic.rise
    for k in columns.ungraded():
        node = tree[columns.ids[k]]
        if node.parent_id is not None and not np.isnan(critic.q[k]):
            lift_K[k] = tree[node.parent_id].posterior_mean + critic.q[k] - node.posterior_mean
    return lift_K


def gain(fan: Columns, critic: CriticColumns, lift_K: Floats) -> Floats:
    """Q(s, a) of choosing a candidate at the fan's node s: the gain over s, in units of the score.

    Editing s itself promises V(s). A child promises the Q of the action that made it; V(s) where it is newer than
    the export (V(s) is the mean of Q(s, a) over the policy's actions); and ``reach(c) - X(s)`` where its Q belongs to
    another parent or its reply is unknown. 0 where nothing is known.
    """
    own_edge = ~np.isnan(critic.q) & (fan.row(FIRST_EDGE) != 0.0)
    x_K = fan.row(X)
    gain_K: Floats = np.where(own_edge, critic.q, x_K + lift_K - x_K[0])
    gain_K[critic.inherited] = critic.v[critic.inherited]
    gain_K[0] = critic.v[0]
    gain_K[~critic.known] = 0.0
    return gain_K
