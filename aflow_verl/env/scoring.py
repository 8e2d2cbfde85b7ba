"""What the critic reads for the values of nodes: the same for the export of a training step and for one episode."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

from aflow_verl.env.actions import ActionFormat, Context
from aflow_verl.env.prompts import experience_lines
from aflow_verl.env.tokens import PolicyTokens
from aflow_verl.search.qvalues import ScoreGroup
from aflow_verl.search.view import TreeView


def score_groups(
    tree: TreeView,
    node_ids: Sequence[str],
    actions: ActionFormat,
    tokens: PolicyTokens,
    *,
    told_by: TreeView | None = None,
) -> list[ScoreGroup]:
    """Prompts and replies for the V of each node and the Q of the reply that made it, where the reply is known.

    V is read on the node's canonical prompt as it stands now, Q on the prompt of its first parent in which nothing is
    left out, which the siblings share.

    Args:
        told_by: the tree whose experience the prompts show, as in an episode, where it is frozen; None: ``tree``.
    """
    wanted = frozenset(node_ids)
    parents = ((tree[node_id].parent_id, node_id) for node_id in node_ids)
    read = dict.fromkeys(found for pair in parents for found in pair if found is not None)
    return [g for i in read for g in _groups(tree, i, wanted, actions, tokens, told_by or tree)]


def _groups(
    tree: TreeView,
    node_id: str,
    wanted: AbstractSet[str],
    actions: ActionFormat,
    tokens: PolicyTokens,
    told_by: TreeView,
) -> list[ScoreGroup]:
    node = tree[node_id]
    shown = replace(node.state, score=node.posterior_mean)
    context = Context(experience=experience_lines(told_by, node_id))

    def prompt(tried: frozenset[str]) -> tuple[int, ...]:
        return tokens.prompt_ids(actions.offer(shown, tried, context).messages)

    children = [tree[child_id] for child_id in tree.children(node_id) if child_id in wanted]
    replies = tuple((c.id, c.response_ids) for c in children if c.parent_id == node_id and c.response_ids)
    whole = prompt(frozenset()) if replies else ()
    if node_id not in wanted:
        return [ScoreGroup(whole, None, replies)] if replies else []
    now = prompt(tree.tried(node_id))
    if not replies or now == whole:
        return [ScoreGroup(now, node_id, replies)]
    return [ScoreGroup(now, node_id), ScoreGroup(whole, None, replies)]
