"""What may still be spent on rounds, so that enough is left for the comparison on the test problems at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aflow_verl.evaluation.best_workflow import Champion
from aflow_verl.models.budget import Budget
from aflow_verl.types import Evaluation


@dataclass(frozen=True, slots=True)
class Spend:
    """Dollars and executor calls."""

    usd: float = 0.0
    calls: float = 0.0

    def __add__(self, other: Spend) -> Spend:
        return Spend(self.usd + other.usd, self.calls + other.calls)

    def times(self, share: float) -> Spend:
        return Spend(self.usd * share, self.calls * share)


def comparison(seed: Champion, best: Champion, problems: int) -> Spend:
    """What grading both on so many problems is likely to take, by what the validation problems took."""
    different = [seed.validation] if seed.node_id == best.node_id else [seed.validation, best.validation]
    return sum((_of(evaluation).times(problems / evaluation.n) for evaluation in different), Spend())


def next_round(seed: Champion, best: Champion, costs_usd: Sequence[float]) -> Spend:
    """What one more round is likely to take: the dearest so far, or the seed's and the best workflow's evaluation."""
    known = [_of(seed.validation), _of(best.validation)]
    return Spend(max(*(spend.usd for spend in known), *costs_usd), max(spend.calls for spend in known) + 1)


def fits(budget: Budget, *spends: Spend) -> bool:
    """Whether all of it is left. Only an estimate: the limit itself is the budget's."""
    needed = sum(spends, Spend())
    return (budget.usd is None or budget.used_usd + needed.usd <= budget.usd) and (
        budget.calls is None or budget.used_calls + needed.calls <= budget.calls
    )


def _of(evaluation: Evaluation) -> Spend:
    return Spend(evaluation.cost_usd, evaluation.calls)
