"""30 % of calls fail at random, in every way there is: scores are those without faults, and what happened is told."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from aflow_verl.benchmarks.simulated import Simulated
from aflow_verl.config import EvaluationConfig, ModelConfig, SandboxConfig
from aflow_verl.evaluation.engine import Engine
from aflow_verl.evaluation.grades import MemoryStore
from aflow_verl.evaluation.open_engine import open_engine
from aflow_verl.models.landscape import PROBLEM, answer_of, uniform
from aflow_verl.search.store import Store
from aflow_verl.types import Completion, Evaluation, Message, SamplingParams, Usage
from aflow_verl.workflow.state import WorkflowState

CODE = """\
class Workflow:
    def __init__(self, name, llm_config, dataset):
        self.llm = create_llm_instance(llm_config)
        self.custom = operator.Custom(self.llm)

    async def __call__(self, problem):
        return (await self.custom(input=problem, instruction="Workflow {number}."))["response"], 0.0
"""


def reply(messages: Sequence[Any]) -> str:
    """Right on about 6 of 10 problems, other ones for each workflow."""
    text = messages[-1]["content"]
    problem = PROBLEM.findall(text)[-1]
    return answer_of(problem) if uniform("right", text) < 0.6 else "I don't know."


class Calm:
    """The same model without a server."""

    fingerprint = "calm"

    async def complete(self, messages: Sequence[Message], params: SamplingParams) -> Completion:
        return Completion(reply(messages), Usage(10, 5, 0.0))

    async def close(self) -> None:
        pass


async def evaluations(engine: Engine, workflows: int, problems: int) -> list[Evaluation]:
    benchmark = Simulated({"train": problems, "validation": 1, "heldout": 1})
    states = [WorkflowState("simulated", CODE.format(number=k), "", ("Custom",)) for k in range(workflows)]
    return await asyncio.gather(*(engine.evaluate(state, benchmark.problems("train"), benchmark) for state in states))


@pytest.mark.parametrize(
    ("kind", "workflows", "problems"),
    [
        ("anthropic", 4, 50),
        pytest.param("anthropic", 40, 50, marks=pytest.mark.slow),
        pytest.param("openai", 40, 50, marks=pytest.mark.slow),
    ],
)
async def test_scores_are_those_without_faults(
    kind: Any, workflows: int, problems: int, tmp_path: Path, faulty_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "test-key")
    sandbox = SandboxConfig(workers=24, programs="monty")
    # Each hanging call costs its time limit, so of the faults only one in ninety-one hangs.
    faults = [*[fault for fault in faulty_server.FAULTS if fault != "hang"] * 9, "hang"]
    async with faulty_server.FaultyServer(reply, rate=0.3, faults=faults) as server:
        url = server.base_url if kind == "anthropic" else server.openai_url
        executor = ModelConfig(
            kind=kind, model="claude-haiku-4-5", base_url=url, timeout_s=3.0, backoff_s=0.002, concurrency=16
        )
        with Store(tmp_path / "tree.sqlite") as store:
            async with open_engine(
                executor=executor,
                sandbox=sandbox,
                evaluation=EvaluationConfig(backoff_s=0.002),
                store=store,
                cache_path=tmp_path / "calls.sqlite",
            ) as engine:
                shaken = await evaluations(engine, workflows, problems)
                counters = engine.counters()
    async with open_engine(
        executor=ModelConfig(kind="simulated", model="flat"),
        sandbox=sandbox,
        evaluation=EvaluationConfig(),
        store=MemoryStore(),
        client=Calm(),
    ) as engine:
        calm = await evaluations(engine, workflows, problems)
    runs = workflows * problems
    assert all(evaluation.complete for evaluation in shaken)
    assert [[(g.problem_id, g.score) for g in e.grades] for e in shaken] == [
        [(g.problem_id, g.score) for g in e.grades] for e in calm
    ]
    assert 0.5 < sum(evaluation.mean for evaluation in calm) / workflows < 0.7
    assert (counters.runs, counters.missing, counters.model_calls) == (runs, 0, runs)
    assert counters.infrastructure_failures == pytest.approx(runs * 0.3 / 0.7, rel=0.35)
    seen = {"rate_limited", "overloaded", "server_error", "connection", "malformed"}
    assert seen <= set(counters.failures)
    assert workflows < 40 or counters.failures["timeout"] > 0
    assert sum(server.counts[fault] for fault in ("429", "429_wait")) == pytest.approx(
        counters.failures["rate_limited"], abs=0.02 * runs
    )
