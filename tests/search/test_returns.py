"""Tree returns and upper values, by pencil and by their defining equations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aflow_verl.search.estimates import Estimates
from aflow_verl.search.returns import EXPECTILE, edit_promise, futures, node_promises, upper_value
from aflow_verl.search.tree import Tree
from aflow_verl.workflow.state import WorkflowState


def standing(garden, tree: Tree, **x: float) -> Tree:
    """The tree with these X."""
    tree._estimates = Estimates({garden.id(name): value for name, value in x.items()}, {}, {}, 0.1, 0.05)
    return tree


def by_name(garden, found) -> dict[str, float]:
    return {garden.name(node_id): value for node_id, value in found.items()}


def test_futures_along_a_graph_with_two_parents(garden):
    # a -> b -> d -> e, a -> c -> d: d is reached from b and from c
    tree = standing(garden, garden.tree("ab", "ac", "bd", "cd", "de"), a=0.5, b=0.6, c=0.3, d=0.7, e=0.6)
    future = by_name(garden, futures(tree, 0.5))
    assert future["e"] == 0.0
    assert future["d"] == 0.0, "an edit that loses need not be made"
    assert future["b"] == pytest.approx(0.1)  # .7 - .6
    assert future["c"] == pytest.approx(0.4)  # .7 - .3, by the second edge
    # by b: .1 + .5 * .1 = .15; by c: -.2 + .5 * .4 = 0
    assert future["a"] == pytest.approx(0.15)
    assert by_name(garden, futures(tree, 1.0))["a"] == pytest.approx(0.2), "without a discount: the best minus the own"


def test_an_edit_that_pays_later_is_worth_more_than_one_that_leads_nowhere(garden):
    tree = standing(garden, garden.tree("ab", "ac", "cd"), a=0.5, b=0.6, c=0.5, d=0.9)
    future, x = futures(tree, 0.9), tree.estimates().x
    trap, path = (edit_promise(x[i], future[i], 0.9) for i in (garden.id("b"), garden.id("c")))
    assert (trap, path) == (pytest.approx(0.6), pytest.approx(0.5 + 0.9 * 0.4))


def test_a_deep_tree_needs_no_recursion():
    def state(k: int) -> WorkflowState:
        return WorkflowState("toy", f"class Workflow:\n    number = {k}\n", "", ())

    overlay = Tree.seed(state(0)).overlay()
    for k in range(3000):
        overlay.add_child(state(k).hash, state(k + 1), "edit")
    overlay._estimates = Estimates({state(k).hash: k / 3000 for k in range(3001)}, {}, {}, 0.1, 0.05)
    assert futures(overlay, 1.0)[state(0).hash] == pytest.approx(1.0)


def test_upper_values_by_pencil():
    assert upper_value([0.4]) == 0.4
    # .8 (1 - m) = .2 m
    assert upper_value([0.0, 1.0]) == pytest.approx(0.8)
    # 2 below: .8 (1 - m) = .2 * 2 m
    assert upper_value([0.0, 1.0, 0.0]) == pytest.approx(2 / 3)
    assert upper_value([0.3, 0.5], tau=0.5) == pytest.approx(0.4)
    with pytest.raises(ValueError, match="nothing"):
        upper_value([])


@given(st.lists(st.floats(-1, 2), min_size=1, max_size=30), st.sampled_from([0.1, 0.5, EXPECTILE, 0.99]))
def test_an_expectile_solves_its_equation(values, tau):
    m, y = upper_value(values, tau), np.array(values)
    above, below = np.maximum(y - m, 0.0).sum(), np.maximum(m - y, 0.0).sum()
    assert tau * above == pytest.approx((1.0 - tau) * below, abs=1e-9)
    assert min(values) - 1e-12 <= m <= max(values) + 1e-12
    if tau >= 0.5:
        assert m >= np.mean(y) - 1e-12, "an upper value"


def test_a_workflows_promise_is_an_upper_value_of_its_edits_and_of_itself(garden):
    tree = standing(garden, garden.tree("ab", "ac", "bd"), a=0.5, b=0.6, c=0.2, d=0.9)
    promises = by_name(garden, node_promises(tree, 1.0))
    # a: itself .5, b .6 + .3, c .2; b: itself .6, d .9
    assert promises == pytest.approx({"a": upper_value([0.5, 0.9, 0.2]), "b": 0.6 + 0.8 * 0.3})
    # of m in (.5, .9): .8 (.9 - m) = .2 (m - .5 + m - .2)
    assert promises["a"] == pytest.approx((0.72 + 0.14) / 1.2)
    assert set(promises) == {"a", "b"}, "who was never edited has none"
