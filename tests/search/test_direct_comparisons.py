"""X where a node was graded on problems that its parent lacks: the comparison with the root, by pencil."""

import math

import pytest

from aflow_verl.search.estimates import Known, estimate, pooled_noise
from aflow_verl.search.gains import PairedGain, paired_gain
from aflow_verl.search.node import Node

KNOWN = Known(root_x=0.5, noise=0.1, tau=0.1)
"""kappa = 10."""


@pytest.fixture
def node(garden):
    def made(name: str, grades=None, parent: str | None = "a", **more) -> Node:
        return Node(garden.id(name), parent and garden.id(parent), garden.state(name), grades=grades or {}, **more)

    return made


def gains_of(*nodes: Node) -> dict[str, PairedGain]:
    by_id = {found.id: found for found in nodes}
    return {found.id: paired_gain(found, by_id[found.parent_id]) for found in nodes if found.parent_id}


def test_a_comparison_with_the_root_informs_the_whole_path(node, garden):
    # a -> b -> c; b gains .2 on ten problems: a step of .1 with variance .01 * 10 / 20 = .005. c was graded on p99
    # alone, where the root failed: it gains 1.0 over the root with noise .8 / 8 = .1, and its edge has variance .01.
    shared = {f"p{k}": float(k > 1) for k in range(10)}
    a = node("a", {**shared, "p99": 0.0}, parent=None)
    b = node("b", dict.fromkeys(shared, 1.0))
    c = node("c", {"p99": 1.0}, parent="b")
    found = estimate([a, b, c], gains_of(a, b, c), KNOWN)
    # b: .1 with .005 from above, 1.0 with .1 + .01 from below; c: .1 with .005 + .01, and 1.0 with .1
    precision_b, precision_c = 1 / 0.005 + 1 / 0.11, 1 / 0.015 + 1 / 0.1
    assert found.x[garden.id("b")] == pytest.approx(0.5 + (0.1 / 0.005 + 1.0 / 0.11) / precision_b)
    assert found.x[garden.id("c")] == pytest.approx(0.5 + (0.1 / 0.015 + 1.0 / 0.1) / precision_c)
    assert found.sd[garden.id("b")] == pytest.approx(math.sqrt(1 / precision_b))
    assert found.sd[garden.id("c")] == pytest.approx(math.sqrt(1 / precision_c))


def test_a_sibling_hears_of_it_through_the_parent(node, garden):
    # b has no grades of its own: N(0, .01). c below it gains 1.0 on p0 (.1 + .01 at b); d below it was never graded.
    a, b = node("a", {"p0": 0.0}, parent=None), node("b")
    c, d = node("c", {"p0": 1.0}, parent="b"), node("d", parent="b")
    found = estimate([a, b, c, d], gains_of(a, b, c, d), KNOWN)
    precision = 1 / 0.01 + 1 / 0.11
    assert found.x[garden.id("b")] == pytest.approx(0.5 + (1.0 / 0.11) / precision)
    assert found.x[garden.id("d")] == found.x[garden.id("b")]
    assert found.sd[garden.id("d")] == pytest.approx(math.sqrt(1 / precision + 0.01))


def test_problems_that_the_parent_was_graded_on_are_compared_with_it_alone(node, garden):
    a = node("a", {"p0": 0.0, "p1": 0.0}, parent=None)
    b = node("b", {"p0": 1.0})
    c = node("c", {"p0": 1.0}, parent="b")  # no better than its parent on p0, whatever the root did there
    found = estimate([a, b, c], gains_of(a, b, c), KNOWN)
    assert found.x[garden.id("c")] == found.x[garden.id("b")] == pytest.approx(0.5 + 1 / 11)


def test_the_best_workflow_is_not_the_luckiest_of_those_hardly_graded(node, garden):
    # Both gain 1 on every problem; b was graded on two of the root's four (step 2 / 12, variance .01 * 10 / 12).
    a = node("a", dict.fromkeys(["p0", "p1", "p2", "p3"], 0.0), parent=None)
    b, c = node("b", {"p0": 1.0, "p1": 1.0}), node("c", dict.fromkeys(["p0", "p1", "p2", "p3"], 1.0))
    found = estimate([a, b, c], gains_of(a, b, c), KNOWN)
    assert found.safe[garden.id("a")] == 0.5
    assert found.safe[garden.id("c")] == found.x[garden.id("c")]  # nothing is left to grade
    assert found.safe[garden.id("b")] == pytest.approx(0.5 + 2 / 12 - 0.5 * math.sqrt(0.01 * 10 / 12 * 0.5))


def test_a_paired_gain_leaves_problems_out(node):
    child, parent = node("b", {"p0": 1.0, "p1": 1.0}), node("a", {"p0": 0.0, "p1": 1.0})
    assert paired_gain(child, parent, without={"p1": 0.0}).mean == 1.0


def test_pooled_noise():
    # (8 * .1 + 2 / 3 + 1.2) / (8 + 2 + 4)
    assert pooled_noise([]) == pytest.approx(0.1)
    assert pooled_noise([PairedGain(3, 0.3, 2 / 3), PairedGain(5, 0.0, 1.2)]) == pytest.approx((0.8 + 2 / 3 + 1.2) / 14)
