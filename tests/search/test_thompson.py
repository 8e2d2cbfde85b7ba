from collections import Counter

import numpy as np
import pytest

from aflow_verl.config import SearchConfig
from aflow_verl.search.catalog import select
from aflow_verl.search.thompson import SPREAD_OF_GAINS, beliefs, student

THOMPSON = SearchConfig(selector="thompson", rl_weight=0.0)


def test_posterior_by_hand():
    # n = 2, mean .5, squares .5; k = 4, a = 2, b = .35^2 + .25 + 2 * 2 * .25 / 8
    found = student(np.array([2.0]), np.array([0.5]), np.array([0.5]), 0.35, predictive=False)
    b = 0.35**2 + 0.25 + 0.125
    assert found.location_K == pytest.approx([0.25])
    assert found.scale_K == pytest.approx([np.sqrt(b / 8)])
    assert found.freedom_K == pytest.approx([4.0])
    one_more = student(np.array([2.0]), np.array([0.5]), np.array([0.5]), 0.35, predictive=True)
    assert one_more.scale_K == pytest.approx([np.sqrt(b * 5 / 8)])


def test_a_fresh_edit_is_believed_to_gain_what_edits_gained_here(garden, scores):
    lone = beliefs(garden.tree().fan(garden.id("a")))
    assert (lone.location_K.tolist(), lone.freedom_K.tolist()) == ([0.0], [2.0])
    assert lone.scale_K == pytest.approx([SPREAD_OF_GAINS * np.sqrt(3 / 2)])
    rising = garden.tree("ab", "ac", grades={"a": scores(0, 0, 0, 0), "b": scores(1, 1, 1, 1), "c": scores(1, 1, 1, 1)})
    found = beliefs(rising.fan(rising.root_id))
    assert found.location_K[1:] == pytest.approx([4 / 6, 4 / 6])
    assert found.location_K[0] == pytest.approx(2 * (4 / 6) / 4), "shrunk towards no gain by two pseudo-siblings"


def test_the_better_child_is_edited_more_often(garden, scores):
    grades = {"a": scores(0, 0, 1, 1), "b": scores(1, 1, 1, 1), "c": scores(0, 0, 0, 0)}
    tree = garden.tree("ab", "ac", grades=grades, visits="aa")
    rng = np.random.default_rng(0)
    chosen = Counter(garden.name(select(tree, None, THOMPSON, rng).node_id) for _ in range(300))
    assert chosen["b"] > 150 > chosen["c"] * 10


def test_choices_repeat_with_the_seed(garden, scores):
    tree = garden.tree("ab", "ac", grades={"a": scores(1, 0), "b": scores(1, 1), "c": scores(0, 1)}, visits="aa")
    first, second = np.random.default_rng(7), np.random.default_rng(7)
    assert [select(tree, None, THOMPSON, first).node_id for _ in range(20)] == [
        select(tree, None, THOMPSON, second).node_id for _ in range(20)
    ]
