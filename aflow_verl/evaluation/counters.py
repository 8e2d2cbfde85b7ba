"""What the evaluation engine counts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Counters:
    """Totals since the engine was made; subtract two to get a step's."""

    runs: int = 0
    """Workflow runs that ended in a grade."""
    stored: int = 0
    """Grades that were known already."""
    faults: int = 0
    """Runs that failed by the workflow's own fault."""
    calls: int = 0
    """Executor calls that workflows made, cached ones included."""
    model_calls: int = 0
    """Of those, calls that the model really answered."""
    unpriced_calls: int = 0
    """Of those, calls of a model whose price is unknown; no cost contains them."""
    malformed_replies: int = 0
    """Replies that an operator couldn't use."""
    infrastructure_failures: int = 0
    """Failed tries of a model or sandbox, retried ones included."""
    cost_usd: float = 0.0
    seconds: float = 0.0
    """Wall time during which at least one workflow ran."""
