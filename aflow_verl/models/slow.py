"""A server's latency in front of a client that answers at once, for benchmarks and studies of searches."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from statistics import NormalDist

from aflow_verl.models.client import ModelClient, request_key
from aflow_verl.models.landscape import uniform
from aflow_verl.models.waiting import Sleep
from aflow_verl.types import Completion, Message, SamplingParams

_NORMAL = NormalDist()


class DelayedClient:
    """``slots`` calls are served at once, the others wait in line. Service times are log-normal, and each is a
    function of (seed, call), so a run repeats whatever its order."""

    def __init__(
        self,
        inner: ModelClient,
        *,
        slots: int = 64,
        median_s: float = 0.2,
        sigma: float = 0.5,
        seed: int = 0,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """``sigma``: standard deviation of the logarithm of the service time; 0 is a constant time."""
        self._inner = inner
        self._places = asyncio.Semaphore(slots)
        self._median_s = median_s
        self._sigma = sigma
        self._seed = seed
        self._sleep = sleep
        self.slots = slots
        self.served_s = 0.0
        """Sum of all service times; divided by ``slots``, what an ideal client would have taken."""

    @property
    def fingerprint(self) -> str:
        return self._inner.fingerprint

    async def complete(self, messages: Sequence[Message], params: SamplingParams) -> Completion:
        """The inner client's reply, later."""
        seconds = self.service_s(messages, params)
        async with self._places:
            await self._sleep(seconds)
            self.served_s += seconds
            return await self._inner.complete(messages, params)

    def service_s(self, messages: Sequence[Message], params: SamplingParams) -> float:
        """Seconds that this call takes: median * exp(sigma * z), z standard normal."""
        key = request_key(self.fingerprint, messages, params)
        # Away from 0, where the quantile is not finite.
        drawn = max(uniform(self._seed, "latency", key), 2.0**-64)
        return self._median_s * math.exp(self._sigma * _NORMAL.inv_cdf(drawn))

    async def close(self) -> None:
        await self._inner.close()
