"""Waits before the next try."""

import random

import pytest

from aflow_verl.models.backoff import wait_s


@pytest.mark.parametrize(("failures", "bound"), [(0, 2.0), (1, 2.0), (2, 4.0), (5, 32.0), (6, 60.0), (5000, 60.0)])
def test_jitter_fills_a_bound_that_doubles(failures: int, bound: float) -> None:
    source = random.Random(0)
    waits = [wait_s(None, failures, 2.0, source) for _ in range(2000)]
    assert max(waits) <= bound
    assert sum(waits) / len(waits) == pytest.approx(bound / 2, rel=0.05)


def test_the_server_is_waited_for_as_long_as_it_asks() -> None:
    waits = [wait_s(10.0, 7, 2.0, random.Random(seed)) for seed in range(200)]
    assert min(waits) >= 10.0
    assert max(waits) <= 11.0
    assert len(set(waits)) > 100
    assert wait_s(0.0, 1, 2.0, random.Random(0)) == 0.0
