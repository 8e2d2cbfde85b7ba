"""The circuit breaker, on a clock of its own."""

import asyncio
from typing import Any

import pytest

from aflow_verl.errors import ModelUnavailable
from aflow_verl.models.breaker import CircuitBreaker


def opened(fake_time: Any, patience_s: float = 100.0) -> CircuitBreaker:
    breaker = CircuitBreaker(1.0, patience_s, failures_to_open=3, clock=fake_time.clock, sleep=fake_time.sleep)
    assert [breaker.failed(probe=False) for _ in range(3)] == [False, False, True]
    return breaker


async def test_closed_it_lets_everything_pass(fake_time: Any) -> None:
    breaker = CircuitBreaker(1.0, 10.0, failures_to_open=3, clock=fake_time.clock)
    for _ in range(20):
        breaker.failed(probe=False)
        breaker.failed(probe=False)
        breaker.alive()  # never three in a row
    assert not breaker.open
    assert not await breaker.admit()


async def test_one_probe_at_a_time_after_a_cool_down_that_doubles() -> None:
    now, asked = 0.0, []

    async def until_woken(seconds: float) -> None:
        asked.append(seconds)
        await asyncio.Event().wait()

    breaker = CircuitBreaker(1.0, 100.0, failures_to_open=1, clock=lambda: now, sleep=until_woken)
    assert breaker.failed(probe=False)
    now = 1.0
    assert await breaker.admit()
    second = asyncio.ensure_future(breaker.admit())
    await asyncio.sleep(0.01)
    assert not second.done()
    assert asked == [99.0]  # while a probe is out: for as long as the patience lasts
    breaker.failed(probe=True)
    await asyncio.sleep(0.01)
    assert asked == [99.0, 2.0]  # the cool-down has doubled
    now = 3.0
    breaker.given_up()  # wakes it
    assert await second
    breaker.alive()
    assert not breaker.open
    assert not await breaker.admit()


async def test_an_answer_lets_all_waiting_calls_go(fake_time: Any) -> None:
    async def never(seconds: float) -> None:
        await asyncio.Event().wait()

    breaker = CircuitBreaker(1.0, 100.0, failures_to_open=1, clock=fake_time.clock, sleep=never)
    breaker.failed(probe=False)
    waiting = [asyncio.ensure_future(breaker.admit()) for _ in range(5)]
    await asyncio.sleep(0)
    breaker.alive()
    assert await asyncio.wait_for(asyncio.gather(*waiting), 1) == [False] * 5


async def test_patience_ends(fake_time: Any) -> None:
    breaker = opened(fake_time, patience_s=0.5)
    with pytest.raises(ModelUnavailable, match="has not answered for") as caught:
        await breaker.admit()
    assert caught.value.kind == "circuit_open"
    assert not caught.value.retryable
    assert fake_time.now == 0.5
    fake_time.now = 5.0
    assert await breaker.admit()  # still probed now and then


async def test_a_probe_that_tells_nothing_makes_room_for_the_next(fake_time: Any) -> None:
    breaker = opened(fake_time)
    assert await breaker.admit()
    breaker.given_up()
    assert await breaker.admit()
