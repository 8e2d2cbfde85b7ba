"""Which workflow each row of a training step edits, and on which problems: decided for the whole step at once.

The tree is the same for all rows of a step, so rows that knew nothing of one another would all edit the same few
workflows. Row k counts the sessions of the rows before it as edits under way, and a workflow is given to at most a
quarter of the step's rows on the shared tree, unless nothing else can be edited.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from aflow_verl.config import SearchConfig
from aflow_verl.env.dataset import DatasetRow
from aflow_verl.env.seeds import generator
from aflow_verl.search.catalog import selector_named
from aflow_verl.search.qvalues import QSnapshot
from aflow_verl.search.selection import Choice, Expandable, SearchExhausted, select
from aflow_verl.search.tree import Tree

SHARE = 4
"""A workflow is given to at most one row in so many."""


@dataclass(frozen=True, slots=True)
class Planned:
    """What a row on the shared tree edits."""

    row: DatasetRow
    choice: Choice


def plan_rows(
    tree: Tree,
    q: QSnapshot | None,
    rows: Sequence[DatasetRow],
    sessions: int,
    search: SearchConfig,
    expandable: Expandable,
    *,
    seed: int,
    step: int,
) -> dict[int, Planned]:
    """Row index -> what it edits, for the rows of one step that start on this tree, in their order.

    Args:
        sessions: episodes of each row.
        seed: the recipe's.
    """
    selector = selector_named(search.selector)
    most = max(1, len(rows) // SHARE)
    given: Counter[str] = Counter()
    planned: dict[int, Planned] = {}
    for row in rows:
        rng = generator(seed, "plan", step, row.index)
        under_way = {node_id: count * sessions for node_id, count in given.items()}
        options: list[Expandable | None] = [
            lambda node_id: given[node_id] < most and expandable(node_id),
            expandable,
            None,  # only stopping is left, and a row that says so is worth learning from
        ]
        for option in options:
            try:
                choice = select(tree, q, search, selector, rng, expandable=option, in_flight=under_way)
            except SearchExhausted:
                continue
            break
        given[choice.node_id] += 1
        planned[row.index] = Planned(row, choice)
    return planned
