"""Each rule's scores by pencil."""

import math
from dataclasses import replace

import numpy as np
import pytest

from aflow_verl.config import SearchConfig, SoftMixedConfig
from aflow_verl.errors import RecipeError
from aflow_verl.search.catalog import SELECTORS, selector_named
from aflow_verl.search.selection import Field, winner
from aflow_verl.search.selectors import greedy, prior, puct, soft_mixed, soft_mixed_probabilities, thompson, ucb

NAN = float("nan")


def field(x=(0.5, 0.6), n=(0, 3), **more) -> Field:
    k = len(x)
    given = {
        "ids": tuple("abcdefgh"[:k]),
        "root_id": "a",
        "x_K": np.array(x),
        "sd_K": np.zeros(k),
        "mean_K": np.array(x),
        "n_K": np.array(n, dtype=float),
        "logprob_K": np.full(k, NAN),
        "q_K": np.full(k, NAN),
        "alpha_K": np.zeros(k),
        "total": math.e - 1.0,  # ln(1 + N) = 1
        "spread": 0.1,
    }
    return Field(**{**given, **{name: np.array(v) if name.endswith("K") else v for name, v in more.items()}})


RNG = np.random.default_rng(0)
SETTINGS = SearchConfig(c_ucb=0.5, c_puct=0.1)


def test_ucb():
    # .5 + .5 * .1 * sqrt(1 / 1) and .6 + .5 * .1 * sqrt(1 / 4)
    assert ucb(field(), SETTINGS, RNG) == pytest.approx([0.55, 0.625])


def test_puct():
    # P K = 1 without log-probabilities: .1 * .1 * 1 * sqrt(1 + 3) / (1 + n)
    assert puct(field(total=3.0), SETTINGS, RNG) == pytest.approx([0.52, 0.605])
    # weights 1 and 1/3: P = .25 + .5 * (.75, .25), times K = 2
    told = field(total=3.0, logprob_K=[0.0, -math.log(3.0)])
    assert puct(told, SETTINGS, RNG) == pytest.approx([0.5 + 0.02 * 1.25, 0.6 + 0.005 * 0.75])


def test_a_prior_is_half_uniform_and_an_unknown_edit_counts_as_the_mean():
    # weights 1, 1/2 and their mean 3/4
    expected = [0.5 / 3 + 0.5 * w / 2.25 for w in (1.0, 0.5, 0.75)]
    assert prior(np.array([-1.0, -1.0 - math.log(2.0), NAN])) == pytest.approx(expected)
    assert prior(np.array([NAN, NAN])) == pytest.approx([0.5, 0.5])
    assert prior(np.array([-900.0, 0.0])) == pytest.approx([0.25, 0.75]), "a narrow policy starves nobody"


def test_thompson_draws_from_the_posterior_and_explores_as_ucb_does():
    assert thompson(field(), SETTINGS, RNG) == pytest.approx(ucb(field(), SETTINGS, RNG))
    draws = np.random.default_rng(7).standard_normal(2)
    scores = thompson(field(sd_K=[0.1, 0.2]), SETTINGS, np.random.default_rng(7))
    assert scores == pytest.approx(np.array([0.55, 0.625]) + draws * [0.1, 0.2])


def test_greedy():
    assert greedy(field(), SETTINGS, RNG).tolist() == [0.5, 0.6]


@pytest.mark.parametrize("rule", [ucb, puct, greedy])
def test_the_critic_is_mixed_in_by_the_one_formula(rule):
    own = rule(field(), SETTINGS, RNG)
    mixed = rule(field(q_K=[0.9, NAN], alpha_K=[0.25, 0.0]), SETTINGS, RNG)
    assert mixed == pytest.approx([0.75 * own[0] + 0.25 * 0.9, own[1]])


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ((0.50, 0.40, 0.25, 0.10), (0.688, 0.158, 0.079, 0.075)),
        ((0.94, 0.93, 0.92, 0.60), (0.356, 0.305, 0.263, 0.075)),
    ],
)
def test_the_probabilities_that_aflow_publishes(scores, expected):
    probabilities = soft_mixed_probabilities(np.array(scores), 0.2, 0.3)
    assert probabilities == pytest.approx(expected, abs=5e-4)
    assert probabilities.sum() == pytest.approx(1.0)


def test_soft_mixed_draws_with_these_probabilities():
    candidates, rng = field((0.50, 0.40, 0.25, 0.10), (0, 0, 0, 0)), np.random.default_rng(0)
    draws = [int(soft_mixed(candidates, SETTINGS, rng).argmax()) for _ in range(8000)]
    shares = np.bincount(draws, minlength=4) / 8000
    assert shares == pytest.approx([0.688, 0.158, 0.079, 0.075], abs=0.016)  # three standard errors


def test_the_pool_is_the_seed_and_the_best_others_by_plain_means():
    # a is the seed and the worst; b and e are equal, and b is the older; X says something else
    candidates = field((0.9, 0.1, 0.1, 0.1, 0.1), (0,) * 5, mean_K=[0.0, 0.5, 1.0, 0.4, 0.5])
    settings = SearchConfig(soft_mixed=SoftMixedConfig(sample=3))
    assert np.isfinite(soft_mixed(candidates, settings, RNG)).tolist() == [True, True, True, False, False]
    exhausted = replace(candidates, root_id="elsewhere")  # the seed can't be edited any more
    assert np.isfinite(soft_mixed(exhausted, settings, RNG)).tolist() == [False, True, True, False, False]


def test_a_pool_is_never_empty():
    only_seed = SearchConfig(soft_mixed=SoftMixedConfig(sample=1))
    assert np.isfinite(soft_mixed(field(), only_seed, RNG)).tolist() == [True, False]
    without_seed = field(root_id="elsewhere")
    assert np.isfinite(soft_mixed(without_seed, only_seed, RNG)).tolist() == [False, True]


def test_q_enters_before_the_softmax():
    candidates = field((0.5, 0.5), (0, 0), q_K=[NAN, 0.6], alpha_K=[0.0, 0.5])
    rng = np.random.default_rng(0)
    share = np.mean([soft_mixed(candidates, SETTINGS, rng).argmax() for _ in range(4000)])
    expected = soft_mixed_probabilities(np.array([0.5, 0.55]), 0.2, 0.3)[1]
    assert share == pytest.approx(expected, abs=0.024)


def test_the_highest_score_wins_then_fewer_edits_then_the_smaller_id():
    three = field((0.5, 0.5, 0.5), (1, 0, 0))
    assert winner(three, np.array([0.5, 0.4, 0.4])) == 0
    assert winner(three, np.array([0.5, 0.5, 0.5])) == 1
    assert winner(replace(three, ids=("a", "z", "b")), np.array([0.5, 0.5, 0.5])) == 2


def test_an_unknown_selector_is_named():
    with pytest.raises(RecipeError, match=r"search\.selector: 'best' is not one of ucb, puct, thompson, greedy, soft_"):
        selector_named("best")
    assert selector_named("ucb") is SELECTORS["ucb"]
