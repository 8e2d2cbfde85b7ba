"""``evaluate(workflow, benchmark, budget)``: the score of one workflow, with everything it takes opened and closed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aflow_verl.benchmarks.base import Benchmark, Split
from aflow_verl.config import EvaluationConfig, ModelConfig, SandboxConfig
from aflow_verl.evaluation.grades import GradeStore, MemoryStore
from aflow_verl.evaluation.open_engine import open_engine
from aflow_verl.models.budget import Budget
from aflow_verl.models.client import ModelClient
from aflow_verl.types import Evaluation
from aflow_verl.workflow.state import WorkflowState

SANDBOX = SandboxConfig()
EVALUATION = EvaluationConfig()


@dataclass(frozen=True)
class EvaluationBudget:
    """What an evaluation may use; None is no limit."""

    problems: int | None = None
    """The first ones of the split."""
    calls: int | None = None
    """That the model really answers."""
    usd: float | None = None
    split: Split = "validation"


async def evaluate(
    workflow: WorkflowState,
    benchmark: Benchmark,
    budget: EvaluationBudget,
    *,
    executor: ModelConfig,
    sandbox: SandboxConfig = SANDBOX,
    evaluation: EvaluationConfig = EVALUATION,
    store: GradeStore | None = None,
    cache_path: Path | None = None,
    client: ModelClient | None = None,
) -> Evaluation:
    """The workflow's grades on the benchmark's problems; problems that could not be had are ``missing``.

    Args:
        store, cache_path: where grades and replies are kept, so that another call pays nothing twice; None: nowhere.
        client: the executor where it is made elsewhere; ``executor`` says how it is called.

    Raises BudgetExhausted before a call that could cross the budget, and RecipeError and UserError.
    """
    async with open_engine(
        executor=executor,
        sandbox=sandbox,
        evaluation=evaluation,
        store=store or MemoryStore(),
        cache_path=cache_path,
        budget=Budget(budget.usd, budget.calls),
        preload=getattr(benchmark, "preload", ()),
        client=client,
    ) as engine:
        return await engine.evaluate(workflow, benchmark.problems(budget.split)[: budget.problems], benchmark)
