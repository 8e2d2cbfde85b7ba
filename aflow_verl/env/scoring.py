"""What the critic reads for the promise of workflows: exactly the prompts that episodes show."""

from __future__ import annotations

from collections.abc import Sequence

from aflow_verl.env.actions import ActionFormat
from aflow_verl.env.prompts import show_in
from aflow_verl.env.tokens import PolicyTokens
from aflow_verl.search.lessons import Lesson
from aflow_verl.search.qvalues import ScoreGroup
from aflow_verl.search.view import TreeView


def score_groups(
    tree: TreeView,
    node_ids: Sequence[str],
    actions: ActionFormat,
    tokens: PolicyTokens,
    learned: Sequence[Lesson],
) -> list[ScoreGroup]:
    """One prompt for each node, at whose last token V is read.

    Args:
        learned: what the whole search says of kinds of edit, as its prompts show it now.
    """
    groups = []
    for node_id in node_ids:
        offer = show_in(actions, tree, node_id, learned)
        groups.append(ScoreGroup(tokens.prompt_ids(offer.messages, offer.shorter), node_id))
    return groups
