"""What the whole tree says of kinds of edit."""

import math

import pytest

from aflow_verl.search.lessons import Lesson, lessons, telling
from aflow_verl.search.node import Node


def kind_of(parent: Node, child: Node) -> str:
    return "good" if child.action in ("ab", "bc") else "other"


def test_gains_of_a_kind_are_weighed_by_their_problems(garden, scores):
    grades = {"a": scores(0, 0, 0, 0), "b": scores(1, 1, 0, 0), "c": {"p0": 1.0, "p2": 1.0}, "d": scores(0, 0, 0, 0)}
    tree = garden.tree("ab", "bc", "ad", "ae", grades=grades)
    good, other = lessons(tree, kind_of)
    estimates = tree.estimates()
    # ab: .5 on four problems, bc: .5 on two
    assert (good.kind, good.count, good.gain) == ("good", 2, pytest.approx((4 * 0.5 + 2 * 0.5) / 6))
    half = 1.96 * math.sqrt(estimates.noise / 6 + estimates.tau**2 / 2)
    assert (good.low, good.high) == (pytest.approx(good.gain - half), pytest.approx(good.gain + half))
    assert (other.kind, other.count, other.gain) == ("other", 1, 0.0), "an edit that was never compared is none"
    assert lessons(garden.tree(), kind_of) == ()


def test_lines_and_which_are_told():
    found = tuple(Lesson(f"kind {k}", k + 1, 0.1 - 0.05 * k, -0.1, 0.2) for k in range(5))
    assert found[0].line == "+0.10 [-0.10, +0.20] in 1 edit: kind 0"
    assert found[3].line == "-0.05 [-0.10, +0.20] in 4 edits: kind 3"
    assert telling(found, 1) == (found[0], found[-1])
    assert telling(found, 3) == found
