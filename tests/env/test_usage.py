"""What a run has used: across resumes, within a step, after a kill."""

from pathlib import Path

import pytest

from aflow_verl.config import BudgetConfig
from aflow_verl.env.usage import USED, RunUsage
from aflow_verl.errors import BudgetExhausted
from aflow_verl.search.store import Store

NOTHING = {
    "calls": 0.0,
    "model_calls": 0.0,
    "editor_calls": 0.0,
    "seconds": 0.0,
    "infrastructure_failures": 0.0,
    "malformed_replies": 0.0,
    "unpriced_calls": 0.0,
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "tree.sqlite")


async def _spend(usage: RunUsage, usd: float) -> None:
    await usage.budget.reserve(usd)
    usage.budget.settle(usd, usd, counts=True)


async def test_a_steps_metrics_are_what_happened_in_it(store: Store) -> None:
    usage = RunUsage(store, BudgetConfig())
    await _spend(usage, 0.25)
    first = {**NOTHING, "calls": 8.0, "model_calls": 6.0, "failures/timeout": 2.0, "infrastructure_failures": 2.0}
    metrics = usage.step_metrics(first)
    assert metrics["eval/cache_hit_rate"] == 0.25
    assert metrics["eval/cost_usd"] == 0.25
    assert metrics["eval/failures/timeout"] == metrics["eval/infrastructure_failures"] == 2.0
    assert metrics["eval/failures/rate_limited"] == metrics["eval/failures/sandbox"] == 0.0

    await _spend(usage, 0.5)
    second = {**first, "calls": 10.0, "model_calls": 6.0, "editor_calls": 3.0}
    metrics = usage.step_metrics(second)
    assert metrics["eval/model_calls"] == 0.0
    assert metrics["eval/cache_hit_rate"] == 1.0
    assert metrics["eval/editor_calls"] == 3.0
    assert metrics["eval/cost_usd"] == 0.5
    assert metrics["eval/failures/timeout"] == 0.0
    assert usage.step_metrics(second)["eval/cache_hit_rate"] == 0.0  # no calls, no share


async def test_a_resume_goes_on_with_totals_and_budget(store: Store) -> None:
    first = RunUsage(store, BudgetConfig(usd=1.0))
    await _spend(first, 0.75)
    first.step_metrics({**NOTHING, "calls": 5.0})
    second = RunUsage(store, BudgetConfig(usd=1.0))
    totals = second.totals({**NOTHING, "calls": 2.0})
    assert totals["calls"] == 7.0
    assert totals["cost_usd"] == 0.75
    assert totals["wall_seconds"] >= store.get_meta(USED, {})["wall_seconds"] > 0
    assert second.step_metrics(NOTHING)["eval/cost_usd"] == 0.0
    with pytest.raises(BudgetExhausted, match=r"\$0.7500 of \$1 is used"):
        await second.budget.reserve(0.5)


async def test_what_a_killed_step_had_spent_counts(store: Store) -> None:
    usage = RunUsage(store, BudgetConfig(calls=3), spent=(0.5, 2))  # in the reply cache, and in no finished step
    await _spend(usage, 0.0)
    with pytest.raises(BudgetExhausted, match="3 of 3 calls"):
        await usage.budget.reserve(0.0)
    assert usage.totals(NOTHING)["cost_usd"] == 0.5
