from __future__ import annotations

import dataclasses
import io

import pytest

from aflow_verl.report.result import RunResult
from aflow_verl.report.summary import duration, print_summary


def summary(result: RunResult) -> list[str]:
    stream = io.StringIO()
    print_summary(result, stream)
    return [" ".join(line.split()) for line in stream.getvalue().splitlines() if line.strip()]


def test_seed_and_best_stand_side_by_side_with_intervals(run_result: RunResult) -> None:
    lines = summary(run_result)
    assert "letters validation 24 0.125 [0.043, 0.310] 0.500 [0.314, 0.686]" in lines
    assert "held-out 48 0.150 [0.070, 0.270] 0.450 [0.320, 0.590] +0.300 [+0.120, +0.480]" in lines
    assert "letters: best workflow: runs/quickstart/1/best_workflow" in lines
    assert "6 steps, 812 executor calls (43% from the cache), 12 min 5 s, $0.00" in lines
    assert "policy is the policy moving? dead since step 3 2 of 6 steps" in lines
    assert "advantage is there anything to learn from? alive 6 of 6 steps" in lines
    assert "policy: raise the rate (policy/parameter_change 0)" in lines
    assert lines[-1] == "plain AFlow-style search: search.rl_weight is 0"


def test_what_is_unknown_is_said_so(run_result: RunResult) -> None:
    benchmark = dataclasses.replace(
        run_result.benchmarks[0], seed_heldout=None, best_heldout=None, gain_heldout=None, best_is_seed=True
    )
    result = dataclasses.replace(run_result, benchmarks=(benchmark,), cost_usd=None, cache_hit_rate=None)
    lines = summary(result)
    assert "held-out - - - -" in lines
    assert "letters: no workflow beat the seed; it is at runs/quickstart/1/best_workflow" in lines
    assert "6 steps, 812 executor calls, 12 min 5 s, price unknown" in lines


@pytest.mark.parametrize(
    ("seconds", "text"), [(7.6, "8 s"), (59.7, "1 min 0 s"), (725, "12 min 5 s"), (10921, "3 h 2 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
