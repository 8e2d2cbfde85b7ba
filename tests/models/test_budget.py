"""No order of calls and failures crosses the budget."""

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aflow_verl.errors import BudgetExhausted
from aflow_verl.models.budget import Budget

CALLS = st.lists(
    st.tuples(
        st.integers(1, 50),  # cents at worst
        st.floats(0, 1),  # share of it that the call costs
        st.sampled_from(["answered", "failed", "cancelled"]),
        st.integers(0, 4),  # turns of the event loop it takes
    ),
    max_size=40,
)


@given(CALLS, st.one_of(st.none(), st.integers(0, 300)), st.one_of(st.none(), st.integers(0, 30)), st.integers(0, 99))
@settings(max_examples=150, deadline=None)
def test_never_crossed(
    calls: list[tuple[int, float, str, int]], cents: int | None, most_calls: int | None, seed: int
) -> None:
    """Whatever is in flight could cost all that is reserved, so used plus reserved is what must stay below."""
    usd = None if cents is None else cents / 100
    budget = Budget(usd, most_calls)
    in_flight: dict[int, float] = {}
    spent, answered = 0.0, 0

    def check() -> None:
        assert usd is None or spent + sum(in_flight.values()) <= usd + 1e-6
        assert most_calls is None or answered + len(in_flight) <= most_calls

    async def call(number: int) -> None:
        nonlocal spent, answered
        worst, share, outcome, turns = calls[number]
        await budget.reserve(worst / 100)
        in_flight[number] = worst / 100
        check()
        try:
            for _ in range(turns):
                await asyncio.sleep(0)
            if outcome == "cancelled":
                raise asyncio.CancelledError
        finally:
            del in_flight[number]
            cost = {"answered": share * worst / 100, "failed": 0.0, "cancelled": worst / 100}[outcome]
            spent += cost
            answered += outcome != "failed"
            budget.settle(worst / 100, cost, counts=outcome != "failed")
            check()

    async def run() -> list[BaseException | None]:
        tasks = [asyncio.ensure_future(call(i)) for i in range(len(calls))]
        if tasks:
            random.Random(seed).choice(tasks).cancel()  # somebody gives up while waiting
        return await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)

    ended = asyncio.run(run())
    assert all(e is None or isinstance(e, BudgetExhausted | asyncio.CancelledError) for e in ended)
    assert budget.used_usd == pytest.approx(spent)
    assert budget.used_calls == answered
    if usd is None and most_calls is None:
        assert not any(isinstance(e, BudgetExhausted) for e in ended)


async def test_a_call_waits_for_those_that_may_turn_out_cheaper() -> None:
    budget = Budget(usd=1.0)
    await budget.reserve(0.8)
    second = asyncio.ensure_future(budget.reserve(0.8))
    await asyncio.sleep(0)
    assert not second.done()
    budget.settle(0.8, 0.1, counts=True)
    await second
    third = asyncio.ensure_future(budget.reserve(0.2))
    await asyncio.sleep(0)
    budget.settle(0.8, 0.8, counts=True)
    with pytest.raises(BudgetExhausted, match=r"budget\.usd: \$0\.9000 of \$1 is used.*up to \$0\.2000.*raise it"):
        await third


async def test_who_gives_up_waiting_holds_nothing() -> None:
    budget = Budget(calls=1)
    await budget.reserve(0.0)
    gone, stays = (asyncio.ensure_future(budget.reserve(0.0)) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    budget.settle(0.0, 0.0, counts=False)
    await stays
    budget.settle(0.0, 0.0, counts=True)
    assert budget.used_calls == 1


async def test_calls_are_limited_and_earlier_starts_count() -> None:
    budget = Budget(calls=3, used_calls=2, used_usd=0.5)
    await budget.reserve(0.0)
    budget.settle(0.0, 0.25, counts=True)
    assert (budget.used_usd, budget.used_calls) == (0.75, 3)
    with pytest.raises(BudgetExhausted, match=r"budget\.calls: 3 of 3 calls are used"):
        await budget.reserve(0.0)


async def test_dimes_add_up_to_a_dollar() -> None:
    budget = Budget(usd=1.0)
    for _ in range(10):
        await budget.reserve(0.1)
        budget.settle(0.1, 0.1, counts=True)
    with pytest.raises(BudgetExhausted):
        await budget.reserve(0.1)
