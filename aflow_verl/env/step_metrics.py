"""The ``search/*`` metrics of a training step, from its episodes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from aflow_verl.env.episode import Episode
from aflow_verl.env.suggest import EDITOR
from aflow_verl.search.tree import Tree


def search_metrics(
    episodes: Sequence[Episode],
    trees: Mapping[str, Tree],
    nodes_before: int,
    row_choices: Sequence[Mapping[str, Any]],
) -> dict[str, float]:
    """See docs/metrics.md for each name. Shares are 0 where there is nothing to share out.

    Args:
        row_choices: lines of ``choices.jsonl`` of the rows that stand on the shared tree.
    """
    choices: list[Mapping[str, Any]] = [*row_choices, *(choice for episode in episodes for choice in episode.choices)]
    invalid = [kind for episode in episodes for kind in episode.invalid]
    edited = Counter(choice["node"] for choice in row_choices)
    size = sum(len(tree) for tree in trees.values())
    return {
        "search/tree_size": float(size),
        "search/new_workflows": float(size - nodes_before),
        "search/valid_action_rate": _share(sum(kind is None for kind in invalid), len(invalid)),
        "search/editor_failures": float(sum(kind is not None and kind.startswith(EDITOR) for kind in invalid)),
        "search/q_coverage": _share(_total(row_choices, "own_q"), _total(row_choices, "candidates")),
        "search/q_changed_choice": _share(sum(c["node"] != c["node_without_q"] for c in choices), len(choices)),
        "search/alpha_effective": _share(math.fsum(c["alpha_effective"] for c in choices), len(choices)),
        "search/largest_share": _share(max(edited.values(), default=0), len(row_choices)),
        "env/truncated_prompts": float(sum(e.truncated_prompts for e in episodes)),
        "search/episode_return": _share(math.fsum(e.episode_return for e in episodes), len(episodes)),
    }


def _total(choices: Sequence[Mapping[str, Any]], name: str) -> int:
    return sum(int(choice[name]) for choice in choices)


def _share(part: float, whole: int) -> float:
    return part / whole if whole else 0.0
