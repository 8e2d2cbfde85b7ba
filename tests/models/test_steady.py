"""The steady client: retries, limits, outages, money and the first refusal."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from aflow_verl.config import ModelConfig
from aflow_verl.errors import BudgetExhausted, InvalidAction, LostReply, ModelUnavailable, UserError
from aflow_verl.models.budget import Budget
from aflow_verl.models.client import EmptyReply
from aflow_verl.models.prices import Price
from aflow_verl.models.steady import SteadyClient
from aflow_verl.models.tallies import Tallies
from aflow_verl.types import Completion, Message, SamplingParams, Usage

ASK: list[Message] = [{"role": "user", "content": "q" * 84}]
PARAMS = SamplingParams(max_tokens=100)
DEAR = Price(1e4, 1e4, 1e4, 1e4)
"""A cent for a token; ASK costs at most 84 + 2 * 16 + 100 = 216 of them."""

ANSWER = Usage(10, 5, 0.15)

Outcome = str | Exception


class Server:
    """Gives the outcomes in order, the last one for ever."""

    fingerprint = "server:v1"

    def __init__(self, outcomes: Sequence[Outcome], usage: Usage = ANSWER) -> None:
        self.outcomes = list(outcomes)
        self.usage = usage
        self.asked = 0
        self.closed = False

    async def complete(self, messages: Sequence[Message], params: SamplingParams) -> Completion:
        outcome = self.outcomes[min(self.asked, len(self.outcomes) - 1)]
        self.asked += 1
        await asyncio.sleep(0)
        if isinstance(outcome, Exception):
            raise outcome
        return Completion(outcome, self.usage)

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
def steady(fake_time: Any) -> Callable[..., SteadyClient]:
    def make(server: Any, **more: Any) -> SteadyClient:
        names = ("retries", "backoff_s", "patience_s", "concurrency", "seed")
        settings = ModelConfig(**{name: more.pop(name) for name in names if name in more})
        return SteadyClient(server, settings, clock=fake_time.clock, sleep=fake_time.sleep, **more)

    return make


def down(kind: str, **more: Any) -> ModelUnavailable:
    return ModelUnavailable("down", kind=kind, **more)


async def test_failures_that_pass_are_retried_and_counted(steady: Any, fake_time: Any) -> None:
    tallies = Tallies()
    server = Server([down("server_error"), down("malformed"), LostReply("cut", kind="connection"), "yes"])
    client = steady(server, retries=3, backoff_s=2.0, tallies=tallies)
    assert (await client.complete(ASK, PARAMS)).text == "yes"
    assert tallies.as_dict() == {
        "calls": 1,
        "connection": 1,
        "malformed": 1,
        "retries": 3,
        "server_error": 1,
        "waited_s": pytest.approx(sum(fake_time.slept)),
    }
    assert [slept <= bound for slept, bound in zip(fake_time.slept, (2, 4, 8), strict=True)] == [True] * 3
    assert client.fingerprint == "server:v1"
    await client.close()
    assert server.closed


async def test_the_same_seed_waits_the_same(steady: Any, fake_time: Any) -> None:
    waits = []
    for seed in (1, 1, 2):
        fake_time.slept.clear()
        await steady(Server([down("other"), down("other"), "yes"]), seed=seed).complete(ASK, PARAMS)
        waits.append(list(fake_time.slept))
    assert waits[0] == waits[1] != waits[2]


async def test_tries_end(steady: Any) -> None:
    tallies = Tallies()
    server = Server([down("other")])
    with pytest.raises(ModelUnavailable):
        await steady(server, retries=2, tallies=tallies).complete(ASK, PARAMS)
    assert server.asked == 3
    assert (tallies["failed"], tallies["calls"], tallies["retries"]) == (1, 0, 2)


async def test_what_cannot_pass_is_not_retried(steady: Any) -> None:
    for error in (down("other", retryable=False), InvalidAction("prompt_too_long", "too long")):
        server = Server([error])
        with pytest.raises(type(error)):
            await steady(server).complete(ASK, PARAMS)
        assert server.asked == 1


async def test_the_servers_wait_is_kept_within_the_patience(steady: Any, fake_time: Any) -> None:
    server = Server([down("rate_limited", retry_after_s=30.0), "yes"])
    assert (await steady(server, backoff_s=0.001).complete(ASK, PARAMS)).text == "yes"
    assert 30.0 <= fake_time.slept[0] <= 33.0
    tallies = Tallies()
    with pytest.raises(ModelUnavailable, match="asks to wait 7200 s") as caught:
        await steady(Server([down("rate_limited", retry_after_s=7200.0)]), tallies=tallies).complete(ASK, PARAMS)
    assert not caught.value.retryable
    assert tallies["failed"] == 1


async def test_concurrency_backs_off_and_recovers(steady: Any) -> None:
    class Crowded(Server):
        """Bears five calls at once."""

        now = most = 0

        async def complete(self, messages: Sequence[Message], params: SamplingParams) -> Completion:
            self.now += 1
            self.most = max(self.most, self.now)
            crowded = self.now > 5
            for _ in range(3):
                await asyncio.sleep(0)
            self.now -= 1
            if crowded:
                raise down("overloaded" if self.asked % 2 else "rate_limited")
            return await super().complete(messages, params)

    server, tallies = Crowded(["yes"]), Tallies()
    client = steady(server, concurrency=40, retries=50, tallies=tallies)
    await asyncio.gather(*(client.complete(ASK, PARAMS) for _ in range(300)))
    assert server.most == 40
    assert client.limit < 14
    assert tallies["calls"] == 300
    refused = tallies["rate_limited"] + tallies["overloaded"]
    assert 0 < refused < 150  # forty at once all the time would be refused far more often than served
    server.now = -1000  # the crowd has gone
    await asyncio.gather(*(client.complete(ASK, PARAMS) for _ in range(1000)))
    assert client.limit == 40


async def test_a_server_that_is_down_is_waited_for_and_asked_seldom(steady: Any, fake_time: Any) -> None:
    tallies = Tallies()
    server = Server([down("connection")] * 60 + ["yes"])
    client = steady(server, retries=1, backoff_s=1.0, patience_s=1e6, concurrency=50, tallies=tallies)
    replies = await asyncio.gather(*(client.complete(ASK, PARAMS) for _ in range(50)))
    assert [reply.text for reply in replies] == ["yes"] * 50
    assert tallies["circuit_opened"] == 1
    assert server.asked == 60 + 50
    # Ten probes failed and the eleventh was answered, each after twice the time of the one before, at most a minute.
    assert fake_time.now == pytest.approx(1 + 2 + 4 + 8 + 16 + 32 + 5 * 60)


async def test_a_server_that_stays_down_fails_all_calls_after_the_patience(steady: Any) -> None:
    tallies = Tallies()
    server = Server([down("timeout")])
    client = steady(server, retries=1, patience_s=20.0, concurrency=64, tallies=tallies)
    ended = await asyncio.gather(*(client.complete(ASK, PARAMS) for _ in range(500)), return_exceptions=True)
    assert all(isinstance(e, ModelUnavailable) for e in ended)
    assert {e.kind for e in ended if isinstance(e, ModelUnavailable)} == {"circuit_open"}
    assert server.asked < 64 + 20
    assert tallies["failed"] == 500


async def test_the_first_refusal_stops_all_calls(steady: Any) -> None:
    server = Server([UserError("401: check KEY")])
    client = steady(server, concurrency=3)
    ended = await asyncio.gather(*(client.complete(ASK, PARAMS) for _ in range(50)), return_exceptions=True)
    assert [str(e) for e in ended] == ["401: check KEY"] * 50
    assert server.asked <= 3
    with pytest.raises(UserError, match="401"):
        await client.complete(ASK, PARAMS)
    assert server.asked <= 3


async def test_a_refusal_ends_the_waits_of_others() -> None:
    class Two(Server):
        async def complete(self, messages: Sequence[Message], params: SamplingParams) -> Completion:
            if params.sample_index:
                raise UserError("no credit")
            raise down("other", retry_after_s=500.0)

    client = SteadyClient(Two(["x"]), ModelConfig())
    waiting = asyncio.ensure_future(client.complete(ASK, PARAMS))
    await asyncio.sleep(0.01)
    with pytest.raises(UserError):
        await client.complete(ASK, SamplingParams(sample_index=1))
    with pytest.raises(UserError, match="no credit"):
        await asyncio.wait_for(waiting, 1)


async def test_a_probe_that_is_cancelled_or_refused_frees_its_turn(steady: Any, fake_time: Any) -> None:
    class Hanging(Server):
        hang = False

        async def complete(self, messages: Sequence[Message], params: SamplingParams) -> Completion:
            if self.hang:
                await asyncio.Event().wait()
            return await super().complete(messages, params)

    server = Hanging([down("connection")] * 10 + ["yes"])
    client = steady(server, retries=0, concurrency=10, patience_s=1e9)
    calls = [asyncio.ensure_future(client.complete(ASK, PARAMS)) for _ in range(10)]
    while server.asked < 10:
        await asyncio.sleep(0)
    server.hang = True
    probe = asyncio.ensure_future(asyncio.wait(calls, timeout=0.05))
    await probe
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    server.hang = False
    assert (await asyncio.wait_for(client.complete(ASK, PARAMS), 1)).text == "yes"


async def test_each_try_has_a_time_limit() -> None:
    class Hanging(Server):
        async def complete(self, messages: Sequence[Message], params: SamplingParams) -> Completion:
            self.asked += 1
            if self.asked < 3:
                await asyncio.Event().wait()
            return Completion("at last")

    tallies = Tallies()
    client = SteadyClient(Hanging(["x"]), ModelConfig(backoff_s=0.001), timeout_s=0.02, tallies=tallies)
    assert (await client.complete(ASK, PARAMS)).text == "at last"
    assert tallies["timeout"] == 2


async def test_empty_replies_are_asked_again_and_at_last_believed(steady: Any) -> None:
    empty = EmptyReply("nothing", Completion("", Usage(1, 1, 0.5)))
    assert (await steady(Server([empty, "yes"])).complete(ASK, PARAMS)).text == "yes"
    server, budget, tallies = Server([empty]), Budget(), Tallies()
    reply = await steady(server, retries=9, budget=budget, tallies=tallies).complete(ASK, PARAMS)
    assert (reply.text, server.asked) == ("", 5)
    assert (budget.used_usd, budget.used_calls) == (2.5, 5)
    assert (tallies["malformed"], tallies["calls"]) == (5, 1)


@pytest.mark.parametrize(
    ("outcomes", "used_usd", "used_calls"),
    [
        (["yes"], 0.15, 1),
        ([down("rate_limited"), down("server_error"), "yes"], 0.15, 1),
        ([LostReply("cut", kind="connection"), "yes"], 2.16 + 0.15, 2),  # it may have been answered, and is billed then
        ([InvalidAction("prompt_too_long", "x")], 0.0, 0),
    ],
)
async def test_what_a_call_takes_from_the_budget(
    steady: Any, outcomes: list[Outcome], used_usd: float, used_calls: int
) -> None:
    budget = Budget(usd=100.0)
    ended = await asyncio.gather(
        steady(Server(outcomes), budget=budget, price=DEAR).complete(ASK, PARAMS), return_exceptions=True
    )
    assert len(ended) == 1
    assert (budget.used_usd, budget.used_calls) == (pytest.approx(used_usd), used_calls)


async def test_a_reply_without_counts_costs_the_worst(steady: Any) -> None:
    budget = Budget(usd=100.0)
    await steady(Server(["yes"], Usage(0, 0, None)), budget=budget, price=DEAR).complete(ASK, PARAMS)
    assert budget.used_usd == pytest.approx(2.16)


async def test_many_calls_stop_before_the_budget_is_crossed(steady: Any) -> None:
    budget = Budget(usd=10.0)
    server = Server(["yes"])
    client = steady(server, budget=budget, price=DEAR, concurrency=20)
    ended = await asyncio.gather(*(client.complete(ASK, PARAMS) for _ in range(200)), return_exceptions=True)
    done = [e for e in ended if isinstance(e, Completion)]
    stopped = [e for e in ended if isinstance(e, BudgetExhausted)]
    assert len(done) + len(stopped) == 200
    assert len(done) == server.asked
    # 0.15 each: the last call was sent when 2.16 still fitted, and none after that.
    assert 10.0 - 2.16 <= budget.used_usd <= 10.0
    assert budget.used_usd == pytest.approx(0.15 * len(done))
