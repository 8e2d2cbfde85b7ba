"""A critic's say: earned by what the shown score does not tell, and by nothing else."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aflow_verl.search.confidence import LEAST, WINDOW, Prediction, confidence, partial_correlation


def world(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(shown, outcome, noise): outcomes follow the shown score and a part that it does not tell."""
    rng = np.random.default_rng(seed)
    shown = 0.9 + 0.03 * rng.standard_normal(n)
    return shown, shown + 0.02 * rng.standard_normal(n), rng.standard_normal(n)


def predictions(value, shown, outcome, groups=None) -> list[Prediction]:
    names = [""] * len(shown) if groups is None else groups
    return [
        Prediction(float(v), float(s), float(o), g) for v, s, o, g in zip(value, shown, outcome, names, strict=True)
    ]


def test_a_partial_correlation_by_pencil():
    # without a slope in shown (it is constant) it is the plain one: (1 2 3 4 5) and (2 1 4 3 5) have r = 8 / 10
    made = predictions([1, 2, 3, 4, 5], [0.5] * 5, [2, 1, 4, 3, 5])
    assert partial_correlation(made) == pytest.approx(0.8)
    # values and outcomes are shown + u and shown + w; u and w are orthogonal to shown and to 1, with r = -1/2
    shown, u, w = [-1, -1, 1, 1, 0, 0], [1, -1, 1, -1, 0, 0], [-1, 1, 0, 0, 0, 0]
    v, o = np.add(shown, u), np.add(shown, w)
    expected = float(np.dot(u, w)) / math.sqrt(np.dot(u, u) * np.dot(w, w))
    assert partial_correlation(predictions(v, shown, o)) == pytest.approx(expected) == pytest.approx(-1 / math.sqrt(2))
    assert partial_correlation(made[:4]) is None


def test_the_bound_by_pencil():
    shown, outcome, noise = world(60)
    made = predictions(outcome + 0.02 * noise, shown, outcome)
    r = partial_correlation(made)
    assert r is not None
    assert confidence(made) <= math.tanh(math.atanh(r) - 1.645 / math.sqrt(56)) < r


def test_a_perfect_critic_is_believed():
    shown, outcome, _ = world(40)
    assert confidence(predictions(outcome, shown, outcome)) > 0.99
    assert confidence(predictions(5.0 * outcome - 2.0, shown, outcome)) > 0.99, "the scale is not what is asked"


@pytest.mark.parametrize("scale", [1.0, -2.0, 1e-3])
def test_a_constant_critic_and_one_that_repeats_what_it_is_shown_have_no_say(scale):
    shown, outcome, noise = world(400)
    assert confidence(predictions(np.full(400, scale), shown, outcome)) == 0.0
    assert confidence(predictions(scale * shown + 0.3, shown, outcome)) == 0.0
    rounded = np.round(scale * shown, 6) + 1e-9 * noise
    assert confidence(predictions(rounded, shown, outcome)) == 0.0, "nor what rounding leaves of it"


def test_an_inverted_ranking_has_no_say():
    shown, outcome, noise = world(400)
    assert confidence(predictions(-outcome, shown, outcome)) == 0.0
    assert confidence(predictions(0.01 * noise - outcome, shown, outcome)) == 0.0


def test_outcomes_that_are_all_the_same_prove_nothing():
    shown, outcome, _ = world(50)
    assert confidence(predictions(outcome, shown, np.full(50, 0.9))) == 0.0
    assert confidence(predictions(outcome, shown, shown)) == 0.0


def test_noise_has_no_say():
    found = []
    for seed in range(300):
        shown, outcome, noise = world(40, seed)
        found.append(confidence(predictions(noise, shown, outcome)))
    assert np.mean([c > 0.0 for c in found]) <= 0.09  # the bound is one-sided, 5 %: two standard errors above
    assert np.mean(found) < 0.01


def test_noise_that_a_workflows_edits_share_has_no_say_either():
    """Half of value and outcome is the workflow's: eight edits each of twelve workflows are no 96 edits."""
    grouped, alone = [], []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        shown = np.repeat(0.9 + 0.03 * rng.standard_normal(12), 8)
        value = np.repeat(rng.standard_normal(12), 8) + rng.standard_normal(96)
        outcome = shown + 0.02 * (np.repeat(rng.standard_normal(12), 8) + rng.standard_normal(96))
        names = [f"workflow {k // 8}" for k in range(96)]
        grouped.append(confidence(predictions(value, shown, outcome, names)))
        alone.append(confidence(predictions(value, shown, outcome)))
    assert np.mean([c > 0.0 for c in grouped]) <= 0.09
    assert np.mean([c > 0.0 for c in alone]) > 0.12, "who forgets it believes noise"
    assert np.mean(grouped) < 0.01


def test_two_workflows_prove_nothing():
    shown, outcome, _ = world(100)
    assert confidence(predictions(outcome, shown, outcome, ["a"] * 50 + ["b"] * 50)) == 0.0


def test_it_grows_with_what_was_seen():
    def believed(n: int) -> float:
        runs = []
        for seed in range(30):
            shown, outcome, noise = world(n, seed)
            runs.append(confidence(predictions(outcome + 0.03 * noise, shown, outcome)))
        return float(np.mean(runs))

    assert believed(LEAST - 1) == 0.0
    assert believed(10) < believed(40) < believed(160) < 0.6, "r is 2 / sqrt(13) = .55"


def test_only_the_newest_count():
    shown, outcome, noise = world(2 * WINDOW)
    value = np.where(np.arange(2 * WINDOW) < WINDOW, noise, outcome)
    assert confidence(predictions(value, shown, outcome)) > 0.99
    assert confidence(predictions(value[::-1], shown[::-1], outcome[::-1])) < 0.2


numbers = st.floats(-2, 2).map(lambda x: round(x, 3))


@given(st.lists(st.tuples(numbers, numbers, numbers, st.sampled_from(["", "a", "b", "c", "d"])), max_size=40))
def test_it_is_always_a_share(rows):
    made = [Prediction(*row) for row in rows]
    assert 0.0 <= confidence(made) < 1.0
    r = partial_correlation(made)
    assert r is None or -1.0 - 1e-9 <= r <= 1.0 + 1e-9
    assert confidence(made) == 0.0 or confidence(made) <= r


def test_a_critic_that_follows_the_mean_of_the_steps_earns_nothing() -> None:
    rng = np.random.default_rng(0)
    drifting, telling = [], []
    for step in range(20):
        for k in range(20):
            luck, noise = rng.normal(size=2)
            outcome = step / 10 + luck
            drifting.append(Prediction(step / 10 + noise, 0.5, outcome, f"{step}/{k}", str(step)))
            telling.append(Prediction(luck + noise, 0.5, outcome, f"{step}/{k}", str(step)))
    assert confidence(drifting) == 0.0
    assert confidence([Prediction(p.value, p.shown, p.outcome, p.group) for p in drifting]) > 0.05, "pooled, it would"
    assert confidence(telling) > 0.5
