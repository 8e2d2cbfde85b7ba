"""Intervals of what other problems will show."""

from __future__ import annotations

import numpy as np
import pytest

from aflow_verl.evaluation.prediction import predict_gain, predict_mean


def test_by_hand() -> None:
    """3 of 3 solved: centre 3.5 / 4 = .875, variance .875 * .125, both samples of 3: half width 1.96 * sqrt(.0729)."""
    found = predict_mean([1.0, 1.0, 1.0], others=3)
    assert found.mean == 1.0
    assert found.low == pytest.approx(0.875 - 1.959964 * (0.875 * 0.125 * 2 / 3) ** 0.5, abs=1e-6)
    assert found.high == 1.0
    assert found.n == 3


def test_equal_workflows_keep_a_margin() -> None:
    """Differences 0, 0, 0 and the prior's quarter on -1 and on 1: variance .5 / 4."""
    found = predict_gain([0.0] * 3, others=1)
    assert (found.low, found.high) == pytest.approx((-0.800152, 0.800152), abs=1e-5)


def test_nothing_seen_says_nothing() -> None:
    assert predict_gain([], 5).low == -1.0
    assert predict_mean([], 5).high == 1.0
    assert predict_mean([1.0], 0).low == 0.0


@pytest.mark.parametrize(("n", "chance"), [(20, 0.7), (50, 0.93), (130, 0.5)])
def test_covers_nineteen_of_twenty(n: int, chance: float) -> None:
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(2000):
        found = predict_mean((rng.random(n) < chance).astype(float).tolist(), n)
        held += found.low <= (rng.random(n) < chance).mean() <= found.high
    assert 0.93 <= held / 2000 <= 0.97
