import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aflow_verl.search.columns import MEAN, VISITS, Columns, X
from aflow_verl.search.qvalues import QSnapshot, QTable, QValue
from aflow_verl.search.tree import Overlay, Tree
from aflow_verl.workflow.state import WorkflowState

STATES = [WorkflowState("toy", f"class Workflow:\n    number = {i}\n", "", ()) for i in range(9)]
IDS = [state.hash for state in STATES]

node = st.integers(0, 8)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("child"), node, node, st.floats(0, 1)),
        st.tuples(st.just("grade"), node, node, st.floats(0, 1)),
        st.tuples(st.just("visit"), node, node, st.none()),
        st.tuples(st.just("look"), node, node, st.none()),
    ),
    max_size=25,
)


def grow(overlay: Overlay, plan) -> None:
    for what, i, k, score in plan:
        if IDS[i] not in overlay:
            continue
        match what:
            case "child":
                overlay.add_child(IDS[i], STATES[k], f"{i}{k}", {f"p{k}": score}, logprob=-float(k))
            case "grade":
                overlay.add_grades(IDS[i], {f"q{k}": score})
            case "visit":
                overlay.visit(IDS[i])
            case "look":  # columns that were looked at have to keep up from then on
                overlay.fan(IDS[i])
                overlay.columns()


def same(kept: Columns, made: Columns) -> None:
    assert kept.ids == made.ids
    np.testing.assert_array_equal(np.array([kept.row(r) for r in range(6)]), [made.row(r) for r in range(6)])
    assert kept.gains().n_K.tolist() == made.gains().n_K.tolist()
    assert kept.gains().mean_K.tolist() == made.gains().mean_K.tolist()


@given(steps, steps)
def test_columns_keep_up_with_the_tree(before, after):
    base = Tree.seed(STATES[0], {"p0": 0.5}).overlay()
    grow(base, before)
    tree = base.frozen()
    overlay = tree.overlay()
    grow(overlay, after)
    for view in (base, overlay):
        for found in list(view):
            children = [view[i] for i in (found.id, *view.children(found.id))]
            same(view.fan(found.id), Columns(children, at=found.id))
        kept, made = view.columns(), Columns(view)
        assert sorted(kept.ids) == sorted(made.ids)
        order = [made.index[i] for i in kept.ids]
        for row in (X, MEAN, VISITS):
            assert kept.row(row).tolist() == made.row(row)[order].tolist()
    assert [found.visits for found in tree] == [found.visits for found in base], "a snapshot never changes"


def test_a_fan_counts_the_edits_of_its_own_node(garden):
    tree = garden.tree("ab", "bc", visits="aabccc")
    assert tree.fan(tree.root_id).row(VISITS).tolist() == [2.0, 4.0]
    assert tree.columns().row(VISITS).tolist() == [6.0, 4.0, 3.0]


def test_critic_values_are_looked_up_once_and_extended(garden):
    overlay = garden.tree("ab").overlay()
    q = QSnapshot(1, {garden.id("a"): QValue(0.3, None, 1), garden.id("b"): QValue(-0.1, 0.2, 1)})
    fan = overlay.fan(overlay.root_id)
    first = fan.critic(q, overlay)
    assert fan.critic(q, overlay) is first
    garden.add(overlay, "ac")
    second = fan.critic(q, overlay)
    assert second.v.tolist() == [0.3, -0.1, 0.3]
    assert second.inherited.tolist() == [False, False, True]
    assert np.isnan(second.q).tolist() == [True, False, True]
    assert fan.critic(QSnapshot(2, {garden.id("a"): QValue(0.0, None, 2)}), overlay).v.tolist() == [0.0, 0.0, 0.0]


def test_values_that_come_later_replace_inherited_ones_and_nothing_else(garden):
    overlay = garden.tree("ab", "bc").overlay()
    q = QSnapshot(1, {garden.id("a"): QValue(0.3, None, 1), garden.id("b"): QValue(-0.1, 0.2, 1)})
    columns = overlay.columns()
    before = columns.critic(q, overlay)
    assert before.v.tolist() == [0.3, -0.1, -0.1]
    assert before.inherited.tolist() == [False, False, True]
    garden.add(overlay, "cd")  # inherits from c, which has a value from now on
    longer = q.extended({garden.id("c"): QValue(0.5, 0.6, 1)})
    after = columns.critic(longer, overlay)
    assert after.v.tolist() == [0.3, -0.1, 0.5, 0.5]
    assert after.inherited.tolist() == [False, False, False, True]
    assert after.q[2] == 0.6
    assert columns.critic(longer.extended({garden.id("d"): QValue(0.7, None, 1)}), overlay).v[3] == 0.7
    assert before.v.tolist() == [0.3, -0.1, -0.1], "what was handed out stays as it was"
    assert overlay.columns().critic(q, overlay).inherited.tolist() == [False, False, True, True]


def test_gains_are_paired(garden, scores):
    overlay = Tree.seed(garden.state("a"), scores(1, 0, 1)).overlay()
    garden.add(overlay, "ab", scores(1, 1))  # + 0, + 1
    garden.add(overlay, "ac", {"other": 1.0})
    gains = overlay.fan(overlay.root_id).gains()
    assert gains.n_K.tolist() == [3.0, 2.0, 0.0]
    assert gains.mean_K.tolist() == [0.0, 0.5, 0.0]
    assert gains.squares_K.tolist() == [0.0, 0.5, 0.0]
    overlay.add_grades(garden.id("c"), scores(0, 0))
    again = overlay.fan(overlay.root_id).gains()
    assert (again.n_K[2], again.mean_K[2]) == (2.0, -0.5)
    assert gains.n_K[2] == 0.0, "what was handed out stays as it was"


def test_a_table_reads_like_the_mapping_it_was_made_of():
    values = {"a": QValue(0.1, None, 3), "b": QValue(-0.2, 0.3, 4)}
    table = QTable.of(values)
    assert dict(table) == values
    assert QTable.of(table) is table
    assert ("a" in table, "c" in table, len(table), table.get("c")) == (True, False, 2, None)
    assert table.rows(["b", "x", "a"]).tolist() == [1, -1, 0]


@pytest.mark.parametrize(
    ("ids", "v", "q", "steps", "message"),
    [
        (["a", "b"], [0.0], [0.0], [1], "one v, q and weights step"),
        (["a"], [np.nan], [0.0], [1], "finite"),
        (["a"], [0.0], [np.inf], [1], "finite"),
    ],
)
def test_a_bad_table_is_refused(ids, v, q, steps, message):
    with pytest.raises(ValueError, match=message):
        QTable(ids, v, q, steps)


def test_a_table_with_an_id_twice_is_refused_at_the_first_look():
    with pytest.raises(ValueError, match="twice"):
        QTable(["a", "a"], [0.0, 0.0], [0.0, 0.0], [1, 1]).row("a")
