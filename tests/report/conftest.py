from __future__ import annotations

import pytest

from aflow_verl.health import Line
from aflow_verl.report.result import BenchmarkResult, Estimate, RunResult


@pytest.fixture
def run_result() -> RunResult:
    benchmark = BenchmarkResult(
        name="letters",
        seed_validation=Estimate(0.125, 0.043, 0.31, 24),
        best_validation=Estimate(0.5, 0.314, 0.686, 24),
        seed_heldout=Estimate(0.15, 0.07, 0.27, 48),
        best_heldout=Estimate(0.45, 0.32, 0.59, 48),
        gain_heldout=Estimate(0.3, 0.12, 0.48, 48),
        best_workflow="runs/quickstart/1/best_workflow",
    )
    return RunResult(
        recipe="recipes/quickstart.yaml",
        run_dir="runs/quickstart/1",
        benchmarks=(benchmark,),
        steps=6,
        executor_calls=812,
        cache_hit_rate=0.43,
        seconds=725.4,
        cost_usd=0.0,
        rl_weight=0.5,
        health=(
            Line("policy", "is the policy moving?", "dead", 3, 4, 2, 6, "policy/parameter_change 0", "raise the rate"),
            Line("advantage", "is there anything to learn from?", "alive", 1, 6, 6, 6, "gigpo/live_rows 0.5", ""),
        ),
        notes=("plain AFlow-style search: search.rl_weight is 0",),
    )
