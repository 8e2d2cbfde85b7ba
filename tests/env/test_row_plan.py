"""Rows of a step differ."""

from collections import Counter

import pytest

from aflow_verl.config import SearchConfig
from aflow_verl.env.dataset import DatasetRow
from aflow_verl.env.row_plan import plan_rows
from aflow_verl.search.catalog import SELECTORS
from aflow_verl.search.tree import Tree
from aflow_verl.workflow.state import WorkflowState


def _state(number: int) -> WorkflowState:
    return WorkflowState("toy", f"class Workflow:\n    number = {number}\n", "", ("Custom",))


def grown(count: int) -> Tree:
    """A root and ``count - 1`` children of it, the later the better."""
    overlay = Tree.seed(_state(0), {f"p{k}": 0.0 for k in range(count)}).overlay()
    for number in range(1, count):
        overlay.add_child(_state(0).hash, _state(number), "edit", {f"p{k}": float(k < number) for k in range(count)})
    return overlay.frozen()


ROWS = [DatasetRow(index, "toy", index, "snapshot") for index in range(8, 16)]


def plan(tree: Tree, rows=ROWS, selector="ucb", expandable=lambda node_id: True, step=2, **search):
    settings = SearchConfig(selector=selector, **search)
    return plan_rows(tree, None, rows, 4, settings, expandable, seed=0, step=step)


@pytest.mark.parametrize("selector", sorted(SELECTORS))
def test_a_workflow_gets_at_most_a_quarter_of_the_rows(selector):
    planned = plan(grown(12), selector=selector, c_ucb=0.0)
    assert list(planned) == [row.index for row in ROWS]
    assert [planned[row.index].row for row in ROWS] == ROWS
    edited = Counter(one.choice.node_id for one in planned.values())
    assert max(edited.values()) <= 2
    assert len(edited) >= 4


def test_the_only_workflow_gets_all_rows():
    only = grown(1)
    assert {one.choice.node_id for one in plan(only).values()} == {only.root_id}
    tree = grown(12)
    alone = _state(5).hash
    planned = plan(tree, expandable=lambda node_id: node_id == alone)
    assert {one.choice.node_id for one in planned.values()} == {alone}


def test_where_nothing_can_be_edited_rows_are_left_with_stopping():
    planned = plan(grown(3), expandable=lambda node_id: False)
    assert len(planned) == len(ROWS)


def test_a_row_counts_the_sessions_of_the_rows_before_it():
    tree = grown(12)
    planned = [plan(tree)[row.index].choice for row in ROWS]
    given: Counter[str] = Counter()
    for choice in planned:
        counted = dict(zip(choice.field.ids, choice.field.n_K, strict=True))
        assert all(counted[node_id] == 4 * given[node_id] for node_id in counted)
        assert choice.field.total == 4 * sum(given.values())
        given[choice.node_id] += 1


def test_a_plan_repeats_with_seed_and_step():
    def nodes(step: int) -> list[str]:
        return [one.choice.node_id for one in plan(grown(30), selector="thompson", step=step).values()]

    assert nodes(2) == nodes(2)
    assert nodes(2) != nodes(3)


def test_a_step_without_rows_on_the_shared_tree_plans_nothing():
    assert plan(grown(3), rows=[]) == {}
