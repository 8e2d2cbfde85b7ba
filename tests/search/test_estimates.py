"""X by pencil: paired gains, what is believed of them, and along a path."""

import math

import pytest

from aflow_verl.search.estimates import (
    LEAST_TAU,
    Known,
    estimate,
    scale,
)
from aflow_verl.search.gains import NOT_COMPARED, PairedGain, gain_interval, paired_gain
from aflow_verl.search.node import Node


@pytest.fixture
def node(garden):
    def made(name: str, grades=None, parent: str | None = "a", **more) -> Node:
        return Node(garden.id(name), parent and garden.id(parent), garden.state(name), grades=grades or {}, **more)

    return made


def test_a_paired_gain_counts_shared_problems_alone(node):
    child = node("b", {"p0": 1.0, "p1": 1.0, "p2": 0.0, "p9": 1.0})
    gain = paired_gain(child, node("a", {"p0": 0.0, "p1": 1.0, "p2": 0.0, "p5": 1.0}))
    assert (gain.n, gain.mean) == (3, pytest.approx(1 / 3))  # differences 1, 0, 0
    assert gain.squares == pytest.approx(2 / 3)  # 1 - 3 / 9
    assert paired_gain(child, node("a", {"p5": 1.0})) == NOT_COMPARED
    assert paired_gain(node("b"), node("a")) == NOT_COMPARED


def test_weights_of_a_paired_gain_have_a_mean_of_one(node):
    parent = node("a", {"p0": 0.0, "p1": 0.0, "p2": 0.0})
    grades = {"p0": 1.0, "p1": 0.0, "p2": 0.0}
    assert paired_gain(node("b", grades, weights={"p0": 0.5, "p1": 1.5}), parent).mean == pytest.approx(0.5 / 3)
    twice = {"p0": 2.0, "p1": 2.0, "p2": 2.0}
    assert paired_gain(node("b", grades, weights=twice), parent).mean == pytest.approx(1 / 3)
    alone = {"p0": 1.0}
    assert paired_gain(node("b", alone, weights={"p0": 0.5}), parent).mean == pytest.approx(1.0)


def test_an_interval_rests_on_the_trees_noise():
    assert gain_interval(PairedGain(16, 0.1, 0.0), 0.1) == (
        pytest.approx(0.1 - 1.96 * math.sqrt(0.1 / 16)),
        pytest.approx(0.1 + 1.96 * math.sqrt(0.1 / 16)),
    )
    assert gain_interval(PairedGain(1, 1.0, 0.0), 0.1) == (pytest.approx(1 - 1.96 * math.sqrt(0.1)), 1.0)
    assert gain_interval(NOT_COMPARED, 0.1) == (-1.0, 1.0)


def test_a_young_tree_has_the_scale_of_public_runs():
    assert scale([]) == scale([NOT_COMPARED]) == (0.1, 0.05)


def test_noise_is_the_pooled_variance_of_a_problem():
    # (8 * .1 + 2/3 + 1.2) / (8 + 2 + 4)
    noise, _ = scale([PairedGain(3, 0.3, 2 / 3), NOT_COMPARED, PairedGain(5, 0.0, 1.2)])
    assert noise == pytest.approx((0.8 + 2 / 3 + 1.2) / 14)


def test_tau_is_what_the_noise_leaves_of_the_gains():
    # one edge: noise (.8 + .3) / 11 = .1, error .1 / 4; beside four pseudo-edges of the same weight
    noise, tau = scale([PairedGain(4, 0.5, 0.3)])
    assert noise == pytest.approx(0.1)
    assert tau**2 == pytest.approx((4 * 0.0025 + 0.25 - 0.025) / 5)
    # two edges weigh by 1 / (.0025 + error)^2; the second adds no degree of freedom
    noise, tau = scale([PairedGain(4, 0.5, 0.3), PairedGain(1, -1.0, 0.0)])
    assert noise == pytest.approx(0.1)
    w = [1 / (0.0025 + 0.025) ** 2, 1 / (0.0025 + 0.1) ** 2]
    pseudo = 4 * sum(w) / 2
    assert tau**2 == pytest.approx((pseudo * 0.0025 + w[0] * 0.225 + w[1] * 0.9) / (pseudo + sum(w)))
    _, tau = scale([PairedGain(1000, 0.0, 100.0)] * 10_000)  # more equal workflows than noise explains
    assert tau == LEAST_TAU


def test_kappa_falls_where_gains_are_large_and_rises_where_there_are_none():
    def kappa(gain: float) -> float:
        noise, tau = scale([PairedGain(100, sign * gain, 10.0) for sign in (1, -1) for _ in range(50)])
        return noise / tau**2

    assert kappa(0.3) < 2.0 < 40.0 < kappa(0.0)


KNOWN = Known(root_x=0.7, noise=0.1, tau=0.1)
"""kappa = 10."""


def test_x_adds_up_shrunk_gains_along_a_path(node):
    nodes = [node("a", parent=None), node("b"), node("c", parent="b"), node("d", parent="b")]
    a, b, c, d = (n.id for n in nodes)
    found = estimate(nodes, {b: PairedGain(10, 0.2, 0.0), c: PairedGain(30, -0.2, 0.0)}, KNOWN)
    assert found.kappa == pytest.approx(10.0)
    # b: + 10/20 * .2; c: - 30/40 * .2; d was compared with nothing
    assert [found.x[i] for i in (a, b, c, d)] == pytest.approx([0.7, 0.8, 0.65, 0.8])
    # variances: 0; .01 * 10/20; + .01 * 10/40; + .01
    assert [found.sd[i] ** 2 for i in (a, b, c, d)] == pytest.approx([0.0, 0.005, 0.0075, 0.015])


def test_a_root_has_one_pseudo_problem_of_its_prior(node):
    grades = {"p0": 1.0, "p1": 0.0, "p2": 1.0, "p3": 1.0}
    [x] = estimate([node("a", grades, parent=None)], {}).x.values()
    assert x == pytest.approx(0.7)  # (3 + .5) / 5
    [sd] = estimate([node("a", grades, parent=None)], {}).sd.values()
    assert sd**2 == pytest.approx(0.7 * 0.3 / 5)
    [imported] = estimate([node("a", grades, parent=None, prior_mean=0.9)], {}).x.values()
    assert imported == pytest.approx(3.9 / 5)
    weights = {"p1": 0.5, "p0": 1.5}  # weighted mean (1.5 + 0 + 1 + 1) / 4
    [weighted] = estimate([node("a", grades, parent=None, weights=weights)], {}).x.values()
    assert weighted == pytest.approx((3.5 + 0.5) / 5)
    assert list(estimate([node("a", parent=None)], {}).x.values()) == [0.5]


def test_an_imported_workflow_stands_at_its_score_until_it_is_graded(node):
    root, imported = node("a", parent=None), node("b", prior_mean=0.9)
    found = estimate([root, imported], {}, KNOWN)
    assert (found.x[imported.id], found.sd[imported.id]) == (0.9, pytest.approx(0.1))
    graded = node("b", {"p0": 1.0}, prior_mean=0.9)
    found = estimate([root, graded], {graded.id: PairedGain(10, 0.2, 0.0)}, KNOWN)
    assert found.x[graded.id] == pytest.approx(0.8)


def test_a_tree_keeps_its_gains_in_step_with_its_grades(garden, scores):
    overlay = garden.tree("ab", "bc", grades={"a": scores(0, 0), "b": scores(1, 0), "c": scores(1, 1)}).overlay()
    a, b, c = (garden.id(name) for name in "abc")
    assert [(overlay.gain(i).n, overlay.gain(i).mean) for i in (a, b, c)] == [(0, 0.0), (2, 0.5), (2, 0.5)]
    before = overlay.x(b) - overlay.x(a)
    overlay.add_grades(b, {"p2": 1.0})
    assert overlay.gain(b).n == 2, "the parent has no grade there"
    overlay.add_grades(a, {"p2": 0.0})
    assert (overlay.gain(b).n, overlay.gain(b).mean) == (3, pytest.approx(2 / 3))
    assert overlay.x(b) - overlay.x(a) > before, "and X is made anew"
    frozen = overlay.frozen()
    assert frozen.estimates() == overlay.estimates()
    afresh = estimate(frozen, {i: paired_gain(frozen[i], frozen[frozen[i].parent_id]) for i in (b, c)})
    assert frozen.estimates() == afresh


def test_one_lucky_problem_puts_no_workflow_far_above_its_parent(garden, scores):
    before, after = scores(*[0] * 4, *[1] * 12), scores(*[0] * 3, *[1] * 13)
    tree = garden.tree("ab", grades={"a": before, "b": after})
    assert 0.0 < tree.x(garden.id("b")) - tree.x(garden.id("a")) < 1 / 16 / 2


def test_a_part_of_a_tree_believes_what_the_tree_says(garden, scores):
    tree = garden.tree("ab", "ac", grades={"a": scores(0, 0, 1), "b": scores(1, 0, 1), "c": scores(0, 0, 0)})
    alone = tree.alone(garden.id("b"))
    whole, part = tree.estimates(), alone.estimates()
    assert (part.noise, part.tau, part.x[garden.id("b")]) == (whole.noise, whole.tau, whole.x[garden.id("b")])
    overlay = alone.overlay()
    overlay.add_grades(garden.id("b"), {"p7": 0.0})
    assert overlay.x(garden.id("b")) == whole.x[garden.id("b")], "an episode's few problems don't move its root"
    garden.add(overlay, "bd", scores(1, 1, 1))
    n, kappa = 3, whole.kappa
    assert overlay.x(garden.id("d")) == pytest.approx(whole.x[garden.id("b")] + n / (n + kappa) / 3)
