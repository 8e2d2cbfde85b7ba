"""Gain curves, costs and intervals against numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from aflow_verl.study.curves import (
    NOT_REACHED,
    Ratio,
    band,
    cost_to_match,
    difference,
    evaluations_to,
    gain_curve,
    match_ratios,
    mean_difference,
    share_ratio,
)
from aflow_verl.study.search_run import Trace


def test_a_curve_holds_what_would_be_delivered_at_each_cost() -> None:
    trace = Trace((1.0, 2.5, 4.0), (0.5, 0.6, 0.4), edits=3, spent=4.0, weight_E=(), changed_by_q=0)
    assert gain_curve(trace, 0.5, 0.7, 5).tolist() == pytest.approx([0.0, 0.0, 0.5, -0.5, -0.5])


def test_costs_of_shares() -> None:
    gain_SE = np.array([[0.0, 0.8, 0.8], [0.8, 0.8, 0.8], [0.0, 0.0, 0.0]])
    assert evaluations_to(gain_SE, 0.8) == 2.0
    assert evaluations_to(gain_SE, 0.9) == math.inf


def test_a_curve_matches_a_target_from_where_on_it_stays_there() -> None:
    assert cost_to_match(np.array([0.1, 0.5, 0.4, 0.6]), 0.5) == 4.0
    assert cost_to_match(np.array([0.5, 0.5]), 0.5) == 1.0
    assert cost_to_match(np.array([0.1, 0.6, 0.4]), 0.5) == math.inf


def test_the_cost_ratio_is_a_share_of_the_budget() -> None:
    aflow = {
        "a": np.tile([0.0, 0.1, 0.2, 0.4], (3, 1)),
        "b": np.tile([0.0, 0.0, 0.0, 0.5], (3, 1)),
        "no target": np.tile([0.0, 0.0, 0.0, 0.04], (3, 1)),
    }
    arm = {
        "a": np.tile([0.0, 0.4, 0.4, 0.4], (3, 1)),
        "b": np.tile([0.0, 0.6, 0.0, 0.4], (3, 1)),
        "no target": np.tile([0.0, 0.0, 0.0, 0.0], (3, 1)),
    }
    ratios = match_ratios(arm, aflow, 0)
    assert {family: ratio.value for family, ratio in ratios.by_family.items()} == {"a": 0.5, "b": NOT_REACHED}
    assert ratios.not_reached == ("b",)
    assert ratios.mean == Ratio(1.25, 1.25, 1.25)
    assert match_ratios({"no target": arm["no target"]}, aflow, 0).mean is None


def test_the_cost_of_a_share_is_compared_by_medians() -> None:
    aflow = np.tile([0.0, 0.0, 0.0, 1.0], (3, 1))
    arm = np.array([[0.0, 1.0, 1.0, 1.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    assert share_ratio([(aflow, aflow)], 0.95, 0) == Ratio(1.0, 1.0, 1.0)
    assert share_ratio([(arm, aflow)], 0.95, 0).value == 0.5
    assert share_ratio([(np.zeros((3, 4)), aflow)], 0.95, 0) == Ratio(NOT_REACHED, NOT_REACHED, NOT_REACHED)


def test_intervals_are_students() -> None:
    found = difference(np.array([1.0, 2.0, 3.0]), np.zeros(3))
    half = 4.302653 / math.sqrt(3)  # t of two degrees of freedom, sd 1
    assert (found.mean, found.low, found.high) == pytest.approx((2.0, 2.0 - half, 2.0 + half))
    mean_E, low_E, _ = band(np.array([[1.0], [2.0], [3.0]]))
    assert (mean_E[0], low_E[0]) == pytest.approx((2.0, 2.0 - half))


def test_the_mean_over_families_adds_their_variances() -> None:
    arm = {"a": np.array([1.0, 2.0, 3.0]), "b": np.array([0.0, 0.0, 0.0])}
    found = mean_difference(arm, {"a": np.zeros(3), "b": np.zeros(3)})
    half = 2.776445 * math.sqrt(1 / 3) / 2  # t of four degrees of freedom
    assert (found.mean, found.high) == pytest.approx((1.0, 1.0 + half))


def test_a_single_landscape_has_no_interval() -> None:
    assert difference(np.array([0.3]), np.array([0.1])).low == -math.inf
