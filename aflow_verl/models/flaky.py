"""A server's failures in front of a client that has none, for tests and studies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from aflow_verl.errors import ModelUnavailable
from aflow_verl.models.client import ModelClient, request_key
from aflow_verl.models.landscape import uniform
from aflow_verl.types import Completion, Message, SamplingParams


class FlakyClient:
    """Fails a share of tries. Which try of which call fails, and how, is a function of (seed, call, number of the
    try), so a run repeats whatever its order."""

    def __init__(self, inner: ModelClient, rates: Mapping[str, float], *, seed: int = 0) -> None:
        """``rates``: kind of ``ModelUnavailable`` -> share of tries; together at most 1."""
        self._inner = inner
        self._rates = dict(rates)
        self._seed = seed
        self._tried: Counter[str] = Counter()

    @property
    def fingerprint(self) -> str:
        return self._inner.fingerprint

    async def complete(self, messages: Sequence[Message], params: SamplingParams) -> Completion:
        """The inner client's reply. Raises ModelUnavailable as often as it is told."""
        key = request_key(self.fingerprint, messages, params)
        drawn = uniform(self._seed, "failure", key, self._tried[key])
        self._tried[key] += 1
        for kind, rate in self._rates.items():
            if drawn < rate:
                raise ModelUnavailable(f"simulated failure: {kind}", kind=kind)
            drawn -= rate
        return await self._inner.complete(messages, params)

    async def close(self) -> None:
        await self._inner.close()
