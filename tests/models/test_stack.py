"""A recipe's model end to end: real SDKs against a server on the loopback that fails."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from aflow_verl.config import ModelConfig
from aflow_verl.errors import BudgetExhausted, RecipeError, UserError
from aflow_verl.models.budget import Budget
from aflow_verl.models.cache import CachedClient
from aflow_verl.models.landscape import LANDSCAPES
from aflow_verl.models.simulated import SimulatedClient
from aflow_verl.models.stack import open_model
from aflow_verl.models.steady import SteadyClient
from aflow_verl.models.tallies import Tallies
from aflow_verl.types import Completion, Message, SamplingParams

KEY = "ANTHROPIC_API_KEY"
QUICK = {"backoff_s": 0.002, "timeout_s": 3.0, "retries": 20, "concurrency": 16}
FAULTS_BY_KIND = {
    "rate_limited": ("429", "429_wait"),
    "overloaded": ("503", "529"),
    "server_error": ("500",),
    "connection": ("cut_off", "closed"),
    "malformed": ("malformed", "empty", "not_json"),
    "timeout": ("hang",),
}


def ask(number: int) -> list[Message]:
    return [{"role": "system", "content": "Double it."}, {"role": "user", "content": f"number {number}"}]


def answer(messages: list[Any]) -> str:
    return str(2 * int(messages[-1]["content"].split()[-1]))


def settings(kind: Any, server: Any, **more: Any) -> ModelConfig:
    url = server.openai_url if kind == "openai" else server.base_url
    return ModelConfig(kind=kind, model="claude-haiku-4-5", base_url=url, **{**QUICK, **more})


@pytest.mark.parametrize(("kind", "calls"), [("anthropic", 500), ("openai", 200)])
async def test_faults_change_no_text_and_are_counted(
    kind: str, calls: int, tmp_path: Path, faulty_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """30 % of tries fail in eleven ways; of those one in ninety-one hangs, because each costs its time limit."""
    monkeypatch.setenv(KEY, "test-key")
    others = [fault for fault in faulty_server.FAULTS if fault != "hang"]
    tallies = Tallies()
    async with faulty_server.FaultyServer(answer, rate=0.3, faults=[*others * 9, "hang"]) as server:
        model = open_model(settings(kind, server), cache_path=tmp_path / "calls.sqlite", tallies=tallies)
        replies = await asyncio.gather(*(model.complete(ask(i), SamplingParams()) for i in range(calls)))
        again = await asyncio.gather(*(model.complete(ask(i), SamplingParams()) for i in range(calls)))
        await model.close()
    assert [reply.text for reply in replies] == [reply.text for reply in again] == [str(2 * i) for i in range(calls)]
    assert all(reply.cached for reply in again)
    told = {name: count for name, count in tallies.as_dict().items() if name != "waited_s"}
    assert told.pop("calls") == calls
    assert told.pop("retries") == sum(told.values()) == pytest.approx(calls * 0.3 / 0.7, rel=0.3)
    # On a busy machine some calls are given up before the server has read or answered them.
    late = 0.02 * calls
    assert set(told) <= set(FAULTS_BY_KIND)
    for kind, names in FAULTS_BY_KIND.items():
        assert told.get(kind, 0) == pytest.approx(sum(server.counts[name] for name in names), abs=late)
    assert len(server.answered) == calls
    assert server.answered.total() <= calls + late


async def test_a_wrong_key_stops_everything_at_the_first_call(
    faulty_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY, "wrong-key")
    async with faulty_server.FaultyServer(answer, key="right-key") as server:
        model = open_model(settings("anthropic", server, concurrency=1))
        ended = await asyncio.gather(
            *(model.complete(ask(i), SamplingParams()) for i in range(40)), return_exceptions=True
        )
        await model.close()
    assert all(isinstance(e, UserError) and f"check {KEY}" in str(e) for e in ended)
    assert server.counts == {"401": 1}


async def test_a_key_of_another_variable(faulty_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SERVER_KEY", " right-key\n")
    async with faulty_server.FaultyServer(answer, key="right-key") as server:
        model = open_model(settings("openai", server, key_variable="MY_SERVER_KEY"), role="editor")
        assert (await model.complete(ask(4), SamplingParams())).text == "8"
        await model.close()


async def test_a_budget_in_dollars_is_not_crossed(
    tmp_path: Path, faulty_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call counts 4 tokens at $1 and 1 at $5 a million: $0.000009. At worst it could cost $0.000187."""
    monkeypatch.setenv(KEY, "test-key")
    budget = Budget(usd=0.002)
    params = SamplingParams(max_tokens=16)
    async with faulty_server.FaultyServer(answer, rate=0.2, faults=["429", "500"]) as server:
        model = open_model(settings("anthropic", server), cache_path=tmp_path / "calls.sqlite", budget=budget)
        ended = await asyncio.gather(*(model.complete(ask(i), params) for i in range(400)), return_exceptions=True)
        done = [i for i, e in enumerate(ended) if isinstance(e, Completion)]
        assert {type(e) for e in ended} == {Completion, BudgetExhausted}
        assert sum(server.answered.values()) == len(done) == budget.used_calls
        assert 0.0018 <= budget.used_usd <= 0.002
        # What was paid for is still there, and free.
        assert (await model.complete(ask(done[0]), params)).cached
        await model.close()


async def test_a_budget_in_calls_is_shared_by_all_models(faulty_server: Any) -> None:
    budget = Budget(calls=30)
    async with faulty_server.FaultyServer(answer) as server:
        models = [open_model(settings("openai", server), role=r, budget=budget) for r in ("executor", "editor")]
        ended = await asyncio.gather(
            *(models[i % 2].complete(ask(i), SamplingParams()) for i in range(100)), return_exceptions=True
        )
        for model in models:
            await model.close()
    assert sum(isinstance(e, Completion) for e in ended) == server.counts["ok"] == 30
    assert sum(isinstance(e, BudgetExhausted) for e in ended) == 70


def test_dollars_need_a_price() -> None:
    served = ModelConfig(kind="openai", model="Qwen/Qwen2.5-7B", base_url="http://localhost:1/v1")
    with pytest.raises(
        RecipeError, match=r"budget\.usd: the price of 'Qwen/Qwen2\.5-7B' \(models\.editor\) is unknown"
    ):
        open_model(served, role="editor", budget=Budget(usd=1.0))
    open_model(served, role="editor", budget=Budget(calls=1))


async def test_models_of_our_own_are_free_and_unhurried(tmp_path: Path) -> None:
    simulated = ModelConfig(kind="simulated", model="flat", timeout_s=0.0)
    model = open_model(simulated, budget=Budget(usd=0.0), cache_path=tmp_path / "calls.sqlite")
    assert isinstance(model, CachedClient)
    assert (await model.complete(ask(1), SamplingParams())).usage.cost_usd == 0.0
    await model.close()


async def test_a_client_that_is_made_elsewhere() -> None:
    policy = SimulatedClient(LANDSCAPES["flat"], name="policy")
    model = open_model(ModelConfig(kind="rollout"), client=policy)
    assert isinstance(model, SteadyClient)
    assert model.fingerprint == policy.fingerprint
    with pytest.raises(RecipeError, match=r"models\.executor\.kind: rollout is the policy of a training run"):
        open_model(ModelConfig(kind="rollout"))
