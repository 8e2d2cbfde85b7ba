import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aflow_verl.errors import RecipeError
from aflow_verl.search.fusion import FUSIONS, Terms, Trust, fusion_named, min_max, normalized, raw, shrinking

unit = st.floats(0, 1)
gain = st.floats(-1, 1)
candidate = st.tuples(unit, st.floats(-1, 2), gain, st.floats(0, 10))
candidates = st.lists(candidate, min_size=1, max_size=8)


def terms(rows: list[tuple[float, float, float, float]], alpha: float) -> Terms:
    x, reach, q, exploration = (list(column) for column in zip(*rows, strict=True))
    return as_terms(x, reach, q, exploration, [alpha] * len(rows))


def as_terms(*rows) -> Terms:
    return Terms(*(np.array(row, dtype=np.float64) for row in rows))


def scored(name: str, given: Terms) -> list[float]:
    return FUSIONS[name].score(given).tolist()


def test_normalized_by_hand():
    found = normalized(as_terms([0.2, 0.4, 0.6], [0.9, 0.5, 0.7], [0] * 3, [0.1, 0.2, 0.0], [0.25] * 3))
    assert found == pytest.approx([0.75 * 0 + 0.25 * 1 + 0.1, 0.75 * 0.5 + 0.25 * 0 + 0.2, 0.75 * 1 + 0.25 * 0.5])


def test_raw_by_hand():
    found = raw(as_terms([0.2, 0.4], [9, 9], [0.1, -0.1], [0.5, 0.3], [0.5, 0.5]))
    assert found == pytest.approx([0.5 * 0.7 + 0.05, 0.5 * 0.7 - 0.05])


def test_the_literal_score_is_ruled_by_visits():
    """The example of why ``normalized`` is the default: (mean, visits) at N = 20, UCB over 0.8, Q over 0.1."""
    means, visits = (0.90, 0.92, 0.88, 0.80), (8, 8, 2, 2)
    exploration = [1.414 * math.sqrt(math.log(20) / n) for n in visits]
    found = raw(as_terms(means, means, (0.1, 0.0, 0.0, 0.0), exploration, [0.5] * 4))
    assert max(range(4), key=found.tolist().__getitem__) == 2


def test_min_max_of_equals_is_a_half():
    assert min_max(np.array([0.3, 0.3])).tolist() == [0.5, 0.5]
    assert min_max(np.array([0.3])).tolist() == [0.5]


@pytest.mark.parametrize("name", FUSIONS)
@given(rows=candidates, alpha=unit)
def test_never_a_nan(name, rows, alpha):
    for weight in (0.0, alpha, 1.0):
        assert all(math.isfinite(score) for score in scored(name, terms(rows, weight)))


@pytest.mark.parametrize("name", FUSIONS)
@given(rows=candidates, other=st.lists(st.tuples(st.floats(-1, 2), gain), min_size=8, max_size=8))
def test_alpha_zero_does_not_see_the_critic(name, rows, other):
    replaced = [(x, r, q, e) for (x, _, _, e), (r, q) in zip(rows, other, strict=False)]
    assert scored(name, terms(rows, 0.0)) == scored(name, terms(replaced, 0.0))


@pytest.mark.parametrize("name", FUSIONS)
@given(rows=candidates, alpha=unit, seed=st.randoms(use_true_random=False))
def test_a_permutation_permutes_the_result(name, rows, alpha, seed):
    order = list(range(len(rows)))
    seed.shuffle(order)
    plain = scored(name, terms(rows, alpha))
    assert scored(name, terms([rows[i] for i in order], alpha)) == [plain[i] for i in order]


@pytest.mark.parametrize("name", FUSIONS)
@given(rows=candidates, alpha=unit, rise=st.floats(0, 1))
def test_more_promise_never_costs_a_rank(name, rows, alpha, rise):
    x, reach, q, exploration = rows[0]
    before = scored(name, terms(rows, alpha))
    after = scored(name, terms([(x, reach + rise, q + rise, exploration), *rows[1:]], alpha))
    for other in range(1, len(rows)):
        if before[0] > before[other] + 1e-9:
            assert after[0] >= after[other] - 1e-9


def test_trust_shrinks_with_visits_and_grows_with_confidence():
    visits = np.array([0.0, 5.0, 100.0])
    found = shrinking(Trust(rl_weight=0.5, confidence=0.8, k=20.0), visits)
    assert found == pytest.approx([0.4, 0.4 * math.sqrt(20 / 35), 0.4 * math.sqrt(20 / 320)])
    assert shrinking(Trust(0.5, 0.0, 20.0), visits).tolist() == [0.0, 0.0, 0.0], "an order that proved nothing is mute"


def test_an_unknown_fusion_is_named():
    with pytest.raises(RecipeError, match=r"search\.fusion: 'mean' is not one of raw, normalized, trusted"):
        fusion_named("mean")
