"""``evaluate(workflow, benchmark, budget)``: opens, grades, closes, and never crosses the budget."""

from collections.abc import Sequence

import pytest

from aflow_verl.benchmarks.simulated import Simulated
from aflow_verl.config import ModelConfig, SandboxConfig
from aflow_verl.errors import BudgetExhausted, RecipeError, UserError
from aflow_verl.evaluation.evaluate import EvaluationBudget, evaluate
from aflow_verl.evaluation.grades import MemoryStore
from aflow_verl.models.landscape import LANDSCAPES
from aflow_verl.models.simulated import SimulatedClient
from aflow_verl.types import Completion, Message, SamplingParams
from aflow_verl.workflow.state import seed_state

SEED = seed_state("simulated", ("Custom",))
EXECUTOR = ModelConfig(kind="simulated", model="flat", concurrency=1)
SANDBOX = SandboxConfig(workers=2, programs="monty")


class Watched(SimulatedClient):
    """Counts its calls, and is told when it is closed."""

    def __init__(self) -> None:
        super().__init__(LANDSCAPES["flat"])
        self.calls = 0
        self.closed = False

    async def complete(self, messages: Sequence[Message], params: SamplingParams) -> Completion:
        self.calls += 1
        return await super().complete(messages, params)

    async def close(self) -> None:
        self.closed = True


async def test_problems_and_split_are_the_budgets(benchmark: Simulated) -> None:
    model = Watched()
    found = await evaluate(
        SEED, benchmark, EvaluationBudget(problems=3), executor=EXECUTOR, sandbox=SANDBOX, client=model
    )
    assert [grade.problem_id for grade in found.grades] == [p.id for p in benchmark.problems("validation")[:3]]
    assert (model.calls, model.closed) == (3, True)
    whole = EvaluationBudget(split="heldout")
    assert (await evaluate(SEED, benchmark, whole, executor=EXECUTOR, sandbox=SANDBOX)).n == 10


async def test_calls_end_before_the_budget_is_crossed_and_a_larger_one_goes_on(benchmark: Simulated) -> None:
    model, store = Watched(), MemoryStore()
    with pytest.raises(BudgetExhausted, match=r"budget\.calls: 4 of 4"):
        await evaluate(
            SEED,
            benchmark,
            EvaluationBudget(calls=4),
            executor=EXECUTOR,
            sandbox=SANDBOX,
            store=store,
            client=model,
        )
    assert (model.calls, model.closed) == (4, True)
    found = await evaluate(
        SEED,
        benchmark,
        EvaluationBudget(calls=6),
        executor=EXECUTOR,
        sandbox=SANDBOX,
        store=store,
        client=model,
    )
    assert (found.n, model.calls) == (10, 10)


async def test_what_cannot_be_opened_is_the_users_and_closes_what_was(
    benchmark: Simulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    paid = ModelConfig(kind="anthropic", model="claude-haiku-4-5")
    with pytest.raises(RecipeError, match="ANTHROPIC_API_KEY"):
        await evaluate(SEED, benchmark, EvaluationBudget(), executor=paid, sandbox=SANDBOX)
    nowhere = SandboxConfig(programs="remote")
    with pytest.raises(UserError, match=r"sandbox\.url"):
        await evaluate(SEED, benchmark, EvaluationBudget(), executor=EXECUTOR, sandbox=nowhere)
