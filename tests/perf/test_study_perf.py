"""Searches of the study: workflow evaluations a second on one core, the search's own work included."""

from __future__ import annotations

import time

import pytest

from aflow_verl.study.arms import ARMS
from aflow_verl.study.families import FAMILIES
from aflow_verl.study.landscapes import Landscape
from aflow_verl.study.policies import Odds
from aflow_verl.study.search_run import run_search

pytestmark = pytest.mark.perf

EVALUATIONS_A_SECOND = 2000
ROOM = 2.0
"""A slow or busy machine must not fail a build."""


@pytest.mark.parametrize("name", ["aflow", "default"])
def test_evaluations_a_second(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    arm, count, start = ARMS[name], 0, time.process_time()
    for family in FAMILIES.values():
        for seed in range(2):
            land = Landscape(family, seed)
            count += round(run_search(land, arm, Odds(land, 1.0), None, evaluations=100, seed=0).spent)
    rate = count / (time.process_time() - start)
    with capsys.disabled():
        print(f"\n{name}: {rate:,.0f} workflow evaluations a second (target {EVALUATIONS_A_SECOND:,})")
    assert rate > EVALUATIONS_A_SECOND / ROOM
