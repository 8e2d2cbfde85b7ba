"""What the evaluation engine counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

MODEL_FAILURES = (
    "rate_limited",
    "overloaded",
    "server_error",
    "timeout",
    "connection",
    "malformed",
    "circuit_open",
    "other",
)
"""Kinds of failed tries of a model, as ``errors.ModelUnavailable`` names them."""
SANDBOX_FAILURE = "sandbox"


@dataclass(frozen=True, slots=True)
class Counters:
    """Totals since the engine was made; subtract two to get a step's."""

    runs: int = 0
    """Workflow runs that ended in a grade."""
    stored: int = 0
    """Grades that were known already."""
    faults: int = 0
    """Runs that failed by the workflow's own fault."""
    missing: int = 0
    """Runs that the infrastructure kept from ending, after all retries."""
    calls: int = 0
    """Executor calls that workflows made, cached ones included."""
    model_calls: int = 0
    """Of those, calls that the model really answered."""
    unpriced_calls: int = 0
    """Of those, calls of a model whose price is unknown; no cost contains them."""
    malformed_replies: int = 0
    """Replies that an operator couldn't use."""
    cost_usd: float = 0.0
    seconds: float = 0.0
    """Wall time during which at least one workflow ran."""
    failures: Mapping[str, int] = field(default_factory=dict)
    """Failed tries by kind, retried ones included: those of the model (``MODEL_FAILURES``) and ``sandbox``."""

    @property
    def infrastructure_failures(self) -> int:
        """Failed tries of a model or sandbox, retried ones included."""
        return sum(self.failures.values())

    def as_dict(self) -> dict[str, float]:
        """Everything flat; kinds of failures as ``failures/<kind>``."""
        flat = {f.name: float(getattr(self, f.name)) for f in fields(self) if f.name != "failures"}
        by_kind = {f"failures/{kind}": float(count) for kind, count in self.failures.items()}
        return {**flat, "infrastructure_failures": float(self.infrastructure_failures), **by_kind}


class Counting:
    """Totals in the making."""

    def __init__(self) -> None:
        self.totals: Counter[str] = Counter()
        """By the names of ``Counters``."""
        self.cost_usd = 0.0
        self.malformed: Counter[str] = Counter()
        """Unusable replies by ``operator/what``."""
        self.failures: Counter[str] = Counter()
        """Failed tries by kind."""

    def so_far(self, seconds: float, tallies: Mapping[str, float]) -> Counters:
        """A snapshot. ``tallies``: what the model's client counted (``models.tallies``), failed tries among it."""
        failures = self.failures + Counter({kind: int(tallies.get(kind, 0)) for kind in MODEL_FAILURES})
        return Counters(
            **self.totals,
            malformed_replies=self.malformed.total(),
            cost_usd=self.cost_usd,
            seconds=seconds,
            failures=dict(sorted(failures.items())),
        )
