"""Places for calls: half of them after a refusal, one more after a window of successes."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from aflow_verl.models.limiter import AdaptiveLimiter


async def test_a_burst_of_refusals_halves_once_and_successes_add_one_a_window() -> None:
    limiter = AdaptiveLimiter(8)
    rounds = [await limiter.acquire() for _ in range(8)]
    for taken in rounds:
        limiter.too_many(taken)
        limiter.release()
    assert limiter.limit == 4
    limiter.too_many(await limiter.acquire())
    limiter.release()
    assert limiter.limit == 2
    for _ in range(2 + 3 + 4 + 5 + 6 + 7):
        limiter.success()
    assert limiter.limit == 8
    for _ in range(100):
        limiter.success()
    assert limiter.limit == 8


async def test_there_is_always_one_place() -> None:
    limiter = AdaptiveLimiter(1)
    for _ in range(3):
        limiter.too_many(await limiter.acquire())
        limiter.release()
    assert limiter.limit == 1


async def test_places_are_given_in_the_order_of_asking() -> None:
    limiter = AdaptiveLimiter(1)
    served: list[int] = []

    async def call(number: int) -> None:
        await limiter.acquire()
        served.append(number)
        await asyncio.sleep(0)
        limiter.release()

    await asyncio.gather(*(call(i) for i in range(20)))
    assert served == list(range(20))


async def test_who_gives_up_takes_no_place_along() -> None:
    limiter = AdaptiveLimiter(1)
    await limiter.acquire()
    waiting = asyncio.ensure_future(limiter.acquire())
    late = asyncio.ensure_future(limiter.acquire())
    await asyncio.sleep(0)
    waiting.cancel()
    limiter.release()
    assert await late == 0
    # Given a place and cancelled in the same turn of the loop: the place goes on.
    third = asyncio.ensure_future(limiter.acquire())
    await asyncio.sleep(0)
    limiter.release()
    third.cancel()
    await asyncio.sleep(0)
    await asyncio.wait_for(limiter.acquire(), 1)


@given(st.lists(st.sampled_from(["ok", "refused"]), min_size=1, max_size=60), st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_never_more_than_the_limit_in_flight(outcomes: list[str], most: int) -> None:
    async def run() -> None:
        limiter = AdaptiveLimiter(most)
        in_flight = 0

        async def call(outcome: str) -> None:
            nonlocal in_flight
            taken = await limiter.acquire()
            in_flight += 1
            assert in_flight <= most
            await asyncio.sleep(0)
            in_flight -= 1
            if outcome == "ok":
                limiter.success()
            else:
                limiter.too_many(taken)
            limiter.release()
            assert 1 <= limiter.limit <= most

        await asyncio.gather(*(call(outcome) for outcome in outcomes))

    asyncio.run(run())
