"""What a run has used: the budget across resumes, the totals for its summary, and the ``eval/*`` metrics of a step."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping

from aflow_verl.config import BudgetConfig
from aflow_verl.evaluation.counters import MODEL_FAILURES, SANDBOX_FAILURE
from aflow_verl.models.budget import Budget
from aflow_verl.models.tallies import Tallies
from aflow_verl.search.store import Store

USED = "used"
"""Store's key of what a run has used up to its last finished step."""

_FAILURES = tuple(f"failures/{kind}" for kind in (*MODEL_FAILURES, SANDBOX_FAILURE))


class RunUsage:
    """One start's counters on top of what earlier starts of the run have used."""

    def __init__(self, store: Store, settings: BudgetConfig, spent: tuple[float, int] = (0.0, 0)) -> None:
        """``spent``: dollars and calls of the run's reply cache, which has them to the last, however the run ended."""
        self._store = store
        self._earlier: dict[str, float] = store.get_meta(USED, {})
        usd, calls = spent
        self.budget = Budget(
            settings.usd,
            settings.calls,
            used_usd=max(usd, self._earlier.get("cost_usd", 0.0)),
            used_calls=max(calls, int(self._earlier.get("answered_calls", 0))),
        )
        self.tallies = Tallies()
        self._started = time.time()
        self._counted: Mapping[str, float] = {"cost_usd": self.budget.used_usd}

    def step_metrics(self, counters: Mapping[str, float]) -> dict[str, float]:
        """``eval/*`` of what has happened since the last call; see docs/metrics.md."""
        now = {**counters, "cost_usd": self.budget.used_usd}
        step = {name: value - self._counted.get(name, 0.0) for name, value in now.items()}
        self._counted = now
        self._store.put_meta(USED, self.totals(counters))
        calls = step["calls"]
        return {
            "eval/model_calls": step["model_calls"],
            "eval/editor_calls": step["editor_calls"],
            "eval/cache_hit_rate": 1.0 - step["model_calls"] / calls if calls else 0.0,
            "eval/seconds": step["seconds"],
            "eval/cost_usd": step["cost_usd"],
            "eval/infrastructure_failures": step["infrastructure_failures"],
            "eval/malformed_replies": step["malformed_replies"],
            **{f"eval/{name}": step.get(name, 0.0) for name in _FAILURES},
        }

    def totals(self, counters: Mapping[str, float]) -> dict[str, float]:
        """Of the whole run, the time before a resume included."""
        used = Counter(self._earlier)
        used.update(counters)
        used["wall_seconds"] += time.time() - self._started  # type: ignore[assignment]
        return {**used, "cost_usd": self.budget.used_usd, "answered_calls": self.budget.used_calls}
