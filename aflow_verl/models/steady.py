"""A client that keeps asking: the one place where calls are retried, limited, timed and paid for.

Each try takes a place of the adaptive limiter, passes the circuit breaker, reserves its worst cost in the budget, and
is given ``timeout_s``; between tries it waits (``backoff``).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence

from aflow_verl.config import ModelConfig
from aflow_verl.errors import InvalidAction, LostReply, ModelUnavailable, UserError
from aflow_verl.models.backoff import wait_s
from aflow_verl.models.breaker import OUTAGE_KINDS, CircuitBreaker
from aflow_verl.models.budget import Budget
from aflow_verl.models.client import EmptyReply, ModelClient
from aflow_verl.models.limiter import AdaptiveLimiter
from aflow_verl.models.prices import FREE, Price, most_usd
from aflow_verl.models.tallies import Tallies
from aflow_verl.models.waiting import Sleep, sleep_unless
from aflow_verl.types import Completion, Message, SamplingParams

EMPTY_REPLIES = 5
"""So many replies without content to one call are the model's answer, and no fault."""


class SteadyClient:
    """``inner``, asked until it answers. Use from one event loop."""

    def __init__(
        self,
        inner: ModelClient,
        settings: ModelConfig,
        *,
        budget: Budget | None = None,
        tallies: Tallies | None = None,
        price: Price | None = FREE,
        timeout_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """``price`` None is an unknown one. ``timeout_s``: of one try; None for a model that runs in this process."""
        self._inner = inner
        self._settings = settings
        self._budget = budget or Budget()
        self._tallies = tallies or Tallies()
        self._price = price
        self._timeout_s = timeout_s
        self._clock = clock
        self._sleep = sleep
        self._random = random.Random(settings.seed)
        self._limiter = AdaptiveLimiter(settings.concurrency)
        self._breaker = CircuitBreaker(settings.backoff_s, settings.patience_s, clock=clock, sleep=sleep)
        self._refusal: UserError | None = None
        self._refused = asyncio.Event()

    @property
    def fingerprint(self) -> str:
        return self._inner.fingerprint

    @property
    def limit(self) -> int:
        """Calls in flight at present, at most."""
        return self._limiter.limit

    async def complete(self, messages: Sequence[Message], params: SamplingParams) -> Completion:
        """The reply.

        Raises ModelUnavailable once all tries have failed, or where the server stays down; InvalidAction for a prompt
        that can't be asked; BudgetExhausted; and UserError (key, model name) at once, for this and all later calls,
        which are not sent any more.
        """
        worst_usd = 0.0 if self._budget.usd is None else most_usd(self._price, messages, params.max_tokens)
        failures = empty = 0
        while True:
            try:
                return await self._attempt(messages, params, worst_usd)
            except EmptyReply as reply:
                failure: ModelUnavailable = reply
                empty += 1
                if empty == EMPTY_REPLIES:
                    self._tallies.add("calls")
                    return reply.completion
            except ModelUnavailable as unavailable:
                failure = unavailable
            # A server that is down is waited for, for as long as the patience lasts: see CircuitBreaker.
            failures += not self._breaker.open
            if not failure.retryable or failures > self._settings.retries:
                self._tallies.add("failed")
                raise failure
            await self._wait(failure, failures)
            self._tallies.add("retries")

    async def close(self) -> None:
        """Close the inner client."""
        await self._inner.close()

    # ---- one try ----------------------------------------------------------------------------------------------------

    async def _attempt(self, messages: Sequence[Message], params: SamplingParams, worst_usd: float) -> Completion:
        round_taken = await self._limiter.acquire()
        probe = False
        try:
            probe = await self._admitted()
            self._raise_refusal()
            completion = await self._paid(messages, params, worst_usd)
        except ModelUnavailable as failure:
            self._note(failure, round_taken, probe)
            raise
        except BaseException as ended:  # cancelled, or an error that says nothing about the server
            if isinstance(ended, UserError):
                self._stop(ended)
            if probe:
                self._breaker.given_up()
            raise
        finally:
            self._limiter.release()
        self._breaker.alive()
        self._limiter.success()
        self._tallies.add("calls")
        return completion

    async def _admitted(self) -> bool:
        if not self._breaker.open:
            return False
        started = self._clock()
        try:
            return await self._breaker.admit()
        finally:
            self._tallies.wait(self._clock() - started)

    def _raise_refusal(self) -> None:
        if self._refusal is not None:
            raise type(self._refusal)(str(self._refusal)) from self._refusal

    async def _paid(self, messages: Sequence[Message], params: SamplingParams, worst_usd: float) -> Completion:
        await self._budget.reserve(worst_usd)
        spent_usd, counts = worst_usd, True  # what is lost on the way may have been answered, and is billed then
        try:
            async with asyncio.timeout(self._timeout_s):
                completion = await self._inner.complete(messages, params)
            spent_usd = _cost(completion, worst_usd)
            return completion
        except TimeoutError:
            raise LostReply("the model did not reply in time", kind="timeout") from None
        except EmptyReply as reply:
            spent_usd = _cost(reply.completion, worst_usd)
            raise
        except LostReply:
            raise
        except (ModelUnavailable, InvalidAction, UserError):
            spent_usd, counts = 0.0, False
            raise
        finally:
            self._budget.settle(worst_usd, spent_usd, counts=counts)

    # ---- after a try ------------------------------------------------------------------------------------------------

    def _note(self, failure: ModelUnavailable, round_taken: int, probe: bool) -> None:
        """Tell the limiter, the breaker and the tallies."""
        self._tallies.add(failure.kind)
        if failure.kind == "circuit_open":
            return
        if failure.kind in ("rate_limited", "overloaded"):
            self._limiter.too_many(round_taken)
        if failure.kind not in OUTAGE_KINDS:
            self._breaker.alive()
        elif self._breaker.failed(probe=probe):
            self._tallies.add("circuit_opened")

    def _stop(self, refusal: UserError) -> None:
        """From now on every call raises this error, those that wait included."""
        if self._refusal is None:
            self._refusal = refusal
            self._refused.set()

    async def _wait(self, failure: ModelUnavailable, failures: int) -> None:
        asked_s = failure.retry_after_s
        if asked_s is not None and asked_s > self._settings.patience_s:
            self._tallies.add("failed")
            raise ModelUnavailable(
                f"{failure}; the server asks to wait {asked_s:.0f} s", retryable=False, kind=failure.kind
            ) from failure
        seconds = wait_s(asked_s, failures, self._settings.backoff_s, self._random)
        started = self._clock()
        await sleep_unless(self._refused, seconds, self._sleep)
        self._tallies.wait(self._clock() - started)


def _cost(completion: Completion, worst_usd: float) -> float:
    """What an answer has cost; the worst where the server doesn't say what it took."""
    cost = completion.usage.cost_usd
    return worst_usd if cost is None else cost
