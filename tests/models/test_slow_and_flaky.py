"""Simulated latency and failures, for benchmarks and studies."""

import asyncio
from collections import Counter
from statistics import median
from typing import Any

import pytest

from aflow_verl.errors import ModelUnavailable
from aflow_verl.models.flaky import FlakyClient
from aflow_verl.models.landscape import LANDSCAPES
from aflow_verl.models.simulated import SimulatedClient
from aflow_verl.models.slow import DelayedClient
from aflow_verl.types import Message, SamplingParams

GREEDY = SamplingParams()


def ask(number: int) -> list[Message]:
    return [{"role": "user", "content": f"Simulated problem 0-{number}: what is its number?"}]


def simulated() -> SimulatedClient:
    return SimulatedClient(LANDSCAPES["flat"], name="flat")


async def test_latencies_are_log_normal_and_repeat() -> None:
    client = DelayedClient(simulated(), median_s=0.2, sigma=0.5, seed=1)
    times = [client.service_s(ask(i), GREEDY) for i in range(4000)]
    assert times == [DelayedClient(simulated(), seed=1).service_s(ask(i), GREEDY) for i in range(4000)]
    assert times != [DelayedClient(simulated(), seed=2).service_s(ask(i), GREEDY) for i in range(4000)]
    assert median(times) == pytest.approx(0.2, rel=0.05)
    assert sum(times) / len(times) == pytest.approx(0.2 * 1.1331, rel=0.05)  # median * exp(sigma^2 / 2)
    assert {DelayedClient(simulated(), sigma=0.0).service_s(ask(i), GREEDY) for i in range(5)} == {0.2}


async def test_slots_are_served_together_and_the_work_is_counted(fake_time: Any) -> None:
    client = DelayedClient(simulated(), slots=4, median_s=1.0, sigma=0.0, sleep=fake_time.sleep)
    replies = await asyncio.gather(*(client.complete(ask(i), GREEDY) for i in range(10)))
    assert fake_time.now == pytest.approx(3.0)  # ten calls, four at a time
    assert client.served_s == pytest.approx(10.0)
    inner = simulated()
    assert [reply.text for reply in replies] == [(await inner.complete(ask(i), GREEDY)).text for i in range(10)]
    assert client.fingerprint == inner.fingerprint
    await client.close()


async def test_failures_come_at_their_rates_and_repeat() -> None:
    rates = {"rate_limited": 0.2, "timeout": 0.1}

    async def outcomes(seed: int, order: range) -> dict[int, str]:
        client = FlakyClient(simulated(), rates, seed=seed)
        seen: dict[int, str] = {}
        for i in order:
            try:
                seen[i] = (await client.complete(ask(i), GREEDY)).text
            except ModelUnavailable as failure:
                seen[i] = failure.kind
        await client.close()
        return seen

    first = await outcomes(0, range(3000))
    assert first == await outcomes(0, range(2999, -1, -1))
    assert first != await outcomes(1, range(3000))
    counts = Counter(first.values())
    assert counts["rate_limited"] / 3000 == pytest.approx(0.2, abs=0.02)
    assert counts["timeout"] / 3000 == pytest.approx(0.1, abs=0.02)


async def test_another_try_has_another_fate() -> None:
    client = FlakyClient(simulated(), {"other": 0.5})
    ended = [await asyncio.gather(client.complete(ask(1), GREEDY), return_exceptions=True) for _ in range(40)]
    assert 8 < sum(isinstance(e[0], ModelUnavailable) for e in ended) < 32
    assert client.fingerprint == simulated().fingerprint
