import pytest
from hypothesis import given
from hypothesis import strategies as st

from aflow_verl.statistics import mean_interval, paired_gain, paired_interval


def test_paired_gain_is_over_common_problems():
    assert paired_gain({"p": 1.0, "q": 0.0, "r": 1.0}, {"p": 0.0, "q": 0.0, "s": 1.0}) == (0.5, 2)
    assert paired_gain({"p": 1.0}, {"q": 1.0}) == (0.0, 0)


def test_wilson_for_zeros_and_ones():
    found = mean_interval([1.0] * 8 + [0.0] * 2)  # 8 of 10: the textbook's .490 to .943
    assert (found.mean, found.n) == (0.8, 10)
    assert (found.low, found.high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    all_right = mean_interval([1.0] * 10)
    assert (all_right.low, all_right.high) == pytest.approx((0.7225, 1.0), abs=1e-4)


def test_student_for_other_scores():
    found = mean_interval([0.2, 0.4, 0.6])  # mean .4, sd .2, t(2) 4.3027: half-width .4968
    assert (found.mean, found.low) == (pytest.approx(0.4), 0.0)
    assert found.high == pytest.approx(0.4 + 4.3027 * 0.2 / 3**0.5, abs=1e-4)


def test_too_little_says_nothing():
    assert (mean_interval([]).low, mean_interval([]).high) == (0.0, 1.0)
    assert (mean_interval([0.3]).low, mean_interval([0.3]).high) == (0.0, 1.0)
    none = paired_interval({"p": 1.0}, {"q": 1.0})
    assert (none.low, none.high, none.n) == (-1.0, 1.0, 0)


def test_bonett_price_for_pairs_of_zeros_and_ones():
    # 6 pairs, 3 better, 1 worse: p = 4/8, 2/8; centre .25, half-width 1.96 * sqrt((.75 - .0625) / 8)
    child = {f"p{i}": float(i < 3) for i in range(6)}
    parent = {f"p{i}": float(i == 3) for i in range(6)}
    found = paired_interval(child, parent)
    assert found.mean == pytest.approx(2 / 6)
    assert (found.low, found.high) == pytest.approx((0.25 - 0.5746, 0.25 + 0.5746), abs=1e-3)
    same = paired_interval(child, child)
    assert same.low < 0.0 < same.high, "six pairs that agree prove little"


def test_student_for_other_pairs():
    found = paired_interval({"p": 0.5, "q": 0.7}, {"p": 0.4, "q": 0.4})  # .1, .3: mean .2, sd .1414, t(1) 12.706
    assert found.mean == pytest.approx(0.2)
    assert (found.low, found.high) == (-1.0, 1.0)


grades = st.dictionaries(st.sampled_from("pqrstuv"), st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1)))


@given(grades, grades)
def test_intervals_stay_in_range_and_mirror(child, parent):
    there, back = paired_interval(child, parent), paired_interval(parent, child)
    assert -1.0 <= there.low <= there.high <= 1.0
    assert there.mean == paired_gain(child, parent)[0]
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low), abs=1e-9)
    scores = mean_interval(list(child.values()))
    assert 0.0 <= scores.low <= scores.high <= 1.0
