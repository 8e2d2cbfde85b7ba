"""What a merged step says of its edits: targets of policy and critic, and records of experience."""

from __future__ import annotations

from collections.abc import Mapping

from aflow_verl.env.episode import Episode
from aflow_verl.search.experience import ExperienceRecord
from aflow_verl.search.gains import gain_interval, paired_gain
from aflow_verl.search.node import Node
from aflow_verl.search.qvalues import QSnapshot
from aflow_verl.search.returns import edit_promise
from aflow_verl.search.targets import RowKey, RowTarget
from aflow_verl.search.tree import Tree

UNREADABLE = "unreadable reply"
"""What an edit is called whose reply names none."""


def row_targets(
    tree: Tree,
    episodes: Mapping[tuple[str, int], Episode],
    future: Mapping[str, float],
    promises: Mapping[str, float],
    gamma: float,
    centre: float,
    penalty: float,
) -> dict[RowKey, RowTarget]:
    """The targets of all rows of a step; formulas in ``search.returns``.

    An invalid reply reaches what the workflow has already, less the penalty; a stop reaches just that.

    Args:
        tree: with the step's episodes merged.
        future, promises: of this tree.
        centre: what the critic's 0 stands for.
    """
    x = tree.estimates().x
    targets: dict[RowKey, RowTarget] = {}
    for (uid, session), episode in episodes.items():
        for t, node_id in enumerate(episode.edited):
            child, invalid = episode.children[t], episode.invalid[t] is not None
            if child is not None:
                q, later = edit_promise(x[child], future[child], gamma), gamma * future[child]
            else:
                q, later = x[node_id] - penalty * invalid, 0.0
            targets[uid, session, t] = RowTarget(
                step_return=episode.rewards[t] + later,
                q=q - centre,
                v=promises.get(node_id, x[node_id]) - centre,
                invalid=invalid,
                neutral=child is None and not invalid,
            )
    return targets


def experience_of(
    tree: Tree,
    episodes: Mapping[tuple[str, int], Episode],
    targets: Mapping[RowKey, RowTarget],
    q: QSnapshot | None,
    centre: float,
) -> list[ExperienceRecord]:
    """A record of each edit; none of a stop, which tried nothing.

    Args:
        q: the promises that were in force when the edits were made.
    """
    records = []
    for (uid, session), episode in episodes.items():
        for t, node_id in enumerate(episode.edited):
            target = targets[uid, session, t]
            if target.neutral:
                continue
            value = None if q is None else q.lookup(node_id, tree.ancestors(node_id))[0]
            surprise = None if value is None else abs(value - (target.q + centre))
            records.append(_record(tree, episode, t, target.step_return, surprise))
    return records


def origin_of(episode: Episode, t: int) -> str:
    """The name of a step of an episode in its training step."""
    return f"row{episode.row}/session{episode.session}/{t}"


def _record(tree: Tree, episode: Episode, t: int, tree_return: float, surprise: float | None) -> ExperienceRecord:
    parent, child_id = tree[episode.edited[t]], episode.children[t]
    child = None if child_id is None else tree[child_id]
    gain = None if child is None else paired_gain(child, parent)
    before = parent.mean if child is None else _weighted_mean(parent, child)
    action = episode.choices[t]["action"]
    return ExperienceRecord(
        parent=parent.id,
        child=child_id,
        modification=UNREADABLE if action is None else str(action),
        before=before,
        after=None if gain is None else before + gain.mean,
        problems=0 if gain is None else gain.n,
        interval=None if gain is None else gain_interval(gain, tree.estimates().noise),
        operators=child.state.operators if child else (),
        weights_step=episode.step - 1,
        origin=origin_of(episode, t),
        step=episode.step,
        tree_return=tree_return,
        surprise=surprise,
    )


def _weighted_mean(parent: Node, child: Node) -> float:
    """The parent's score on the problems that both were graded on, weighted as the gain is."""
    w = {problem: child.weights.get(problem, 1.0) for problem in child.grades if problem in parent.grades}
    return sum(w[problem] * parent.grades[problem] for problem in w) / sum(w.values()) if w else parent.mean
