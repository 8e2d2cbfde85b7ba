"""Problems that tell workflows apart are drawn more often, and the gain stays unbiased."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aflow_verl.env.problems import (
    BREAK,
    FIX,
    PSEUDO,
    UNIFORM,
    believed_scores,
    draw_problems,
    inclusion,
    seen,
    systematic,
)
from aflow_verl.search.tree import Tree
from aflow_verl.workflow.state import WorkflowState

IDS = [f"p{k}" for k in range(40)]


def _state(number: int) -> WorkflowState:
    return WorkflowState("toy", f"class Workflow:\n    number = {number}\n", "", ("Custom",))


@pytest.fixture
def tree() -> Tree:
    """The root fails the first ten of forty; its child mends p0 and p1 and spoils p39; p38 and p39 are new to it."""
    root = {name: float(k >= 10) for k, name in enumerate(IDS) if k != 38}
    child = {"p0": 1.0, "p1": 1.0, "p2": 0.0, "p20": 1.0, "p39": 0.0, "p38": 0.0}
    overlay = Tree.seed(_state(0), root).overlay()
    overlay.add_child(_state(0).hash, _state(1), "edit", child)
    return overlay.frozen()


def draw(tree: Tree, count: int, seed: int) -> dict[str, float]:
    return draw_problems(seen(IDS, tree), count, tree.root, tree.x(tree.root_id), np.random.default_rng(seed))


sizes = st.lists(st.floats(0, 10), min_size=2, max_size=60)


@given(sizes, st.data())
def test_inclusion_probabilities_sum_to_the_number_drawn(size, data):
    count = data.draw(st.integers(1, len(size) - 1))
    pi = inclusion(np.array(size), count)
    assert pi.sum() == pytest.approx(count)
    assert np.all(pi <= 1.0 + 1e-12)
    weights = count / (len(size) * pi)
    assert np.all(weights <= 1.0 / UNIFORM + 1e-9), "no weight gets out of hand"


@given(sizes, st.integers(0, 99), st.data())
def test_as_many_different_places_are_drawn_as_asked_for(size, seed, data):
    count = data.draw(st.integers(1, len(size) - 1))
    drawn = systematic(inclusion(np.array(size), count), np.random.default_rng(seed))
    assert len(drawn) == len(set(drawn)) == count
    assert all(0 <= place < len(size) for place in drawn)


def test_inclusion_by_pencil():
    # a tenth uniform: .1 / 2 + .9 * (.75, .25)
    assert inclusion(np.array([3.0, 1.0]), 1) == pytest.approx([0.725, 0.275])
    assert inclusion(np.zeros(4), 2) == pytest.approx([0.5] * 4)
    # one of four would be drawn 2.8 times: it is certain, and the others share the other two
    assert inclusion(np.array([1.0, 0.0, 0.0, 0.0]), 3) == pytest.approx([1.0, 2 / 3, 2 / 3, 2 / 3])


def test_places_are_drawn_with_their_probabilities():
    pi, rng = inclusion(np.array([0.0, 1.0, 2.0, 5.0, 1.0]), 2), np.random.default_rng(0)
    counts = np.zeros(5)
    for _ in range(4000):
        counts[systematic(pi, rng)] += 1
    assert counts / 4000 == pytest.approx(pi, abs=0.025)


def test_change_rates_by_pencil(tree: Tree):
    known = seen(IDS, tree)
    assert known.fix == pytest.approx((PSEUDO * FIX + 2) / (PSEUDO + 3))  # p0, p1 mended, p2 not
    assert known.spoil == pytest.approx(
        (PSEUDO * BREAK + 1) / (PSEUDO + 2)
    )  # p39 spoilt, p20 not; p38 compares nothing
    young = seen(IDS, tree.alone(tree.root_id))
    assert (young.fix, young.spoil) == (FIX, BREAK)


def test_what_a_workflow_is_believed_to_score_on_a_problem(tree: Tree):
    at_root = dict(zip(IDS, believed_scores(seen(IDS, tree), tree.root, tree.x(tree.root_id)), strict=True))
    x = tree.x(tree.root_id)
    assert (at_root["p0"], at_root["p20"]) == (0.0, 1.0), "its own grades"
    assert at_root["p38"] == pytest.approx((2 * x + 0.0) / 3), "the child's, and two of X"
    child = _state(1).hash
    of_child = dict(zip(IDS, believed_scores(seen(IDS, tree), tree[child], tree.x(child)), strict=True))
    assert of_child["p5"] == pytest.approx((2 * tree.x(child) + 0.0) / 3)


def test_failures_are_drawn_more_often(tree: Tree):
    known = seen(IDS, tree)
    fix, spoil = known.fix, known.spoil
    weights = [draw(tree, 8, seed) for seed in range(600)]
    failed = np.mean([sum(IDS.index(name) < 10 for name in drawn) for drawn in weights])
    shares = np.sqrt([fix] * 10 + [spoil] * 28 + [2 * tree.x(tree.root_id) / 3 * (spoil - fix) + fix, spoil])
    expected = inclusion(shares, 8)[:10].sum()
    assert expected > 2.5, "where one in four is failed, that would be 2"
    assert failed == pytest.approx(expected, abs=0.15)


def test_all_problems_weigh_alike_where_there_are_no_more(tree: Tree):
    for count in (40, 99):
        drawn = draw(tree, count, 0)
        assert drawn == dict.fromkeys(IDS, 1.0)


def test_the_weighted_mean_is_unbiased_and_more_precise(tree: Tree):
    """Against the full mean of an edit's differences, and beside as many problems that are drawn alike."""
    rng = np.random.default_rng(1)
    solved = np.arange(40) >= 10
    difference = np.where(solved, -(rng.random(40) < 0.1).astype(float), (rng.random(40) < 0.4).astype(float))
    gain = dict(zip(IDS, difference, strict=True))
    draws = [draw(tree, 8, seed) for seed in range(3000)]
    weighted = np.array([np.mean([w * gain[name] for name, w in drawn.items()]) for drawn in draws])
    error = weighted.std() / np.sqrt(len(weighted))
    assert weighted.mean() == pytest.approx(difference.mean(), abs=4 * error)
    unweighted = np.mean([np.mean([gain[name] for name in drawn]) for drawn in draws])
    assert abs(unweighted - difference.mean()) > 4 * error, "without weights it is biased, so the test can fail"
    plain = [difference[rng.choice(40, 8, replace=False)].mean() for _ in range(3000)]
    assert weighted.std() < np.std(plain)


def test_a_seed_draws_the_same_problems(tree: Tree):
    first, again = (draw(tree, 8, 3) for _ in range(2))
    assert first == again
    assert first != draw(tree, 8, 4)
