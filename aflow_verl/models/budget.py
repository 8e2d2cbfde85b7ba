"""What a run may spend: a call reserves the most that it could cost before it is sent, and settles afterwards.

So calls in flight can't cross a limit together, whatever order they end in. A call that fits only if those in flight
turn out cheaper than reserved waits for them; one that can't fit any more raises ``BudgetExhausted``.
"""

from __future__ import annotations

import asyncio
from collections import deque

from aflow_verl.errors import BudgetExhausted

SLACK_USD = 1e-9
"""Sums of floats may miss a limit that they meet exactly by this much."""


class Budget:
    """Dollars and calls of a whole run, shared by its clients; None is no limit. Use from one event loop."""

    def __init__(
        self, usd: float | None = None, calls: int | None = None, *, used_usd: float = 0.0, used_calls: int = 0
    ) -> None:
        """``used_usd``, ``used_calls``: what earlier starts of the run have spent."""
        self.usd = usd
        self.calls = calls
        self.used_usd = used_usd
        self.used_calls = used_calls
        """Calls that a model answered, or may have: of a reply that is lost on the way nobody knows."""
        self._held_usd = 0.0
        self._held_calls = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def reserve(self, worst_usd: float) -> None:
        """Set one call aside that costs at most ``worst_usd``. Raises BudgetExhausted if it can't fit any more."""
        while not self._fits(self._held_usd + worst_usd, self._held_calls + 1):
            if not self._fits(worst_usd, 1):
                raise BudgetExhausted(self._exhausted(worst_usd))
            await self._next_settlement()
        self._held_usd += worst_usd
        self._held_calls += 1

    def settle(self, worst_usd: float, cost_usd: float, *, counts: bool) -> None:
        """Put ``cost_usd`` in the place of what was reserved. ``counts``: a model has answered, or may have."""
        self._held_usd -= worst_usd
        self._held_calls -= 1
        if not self._held_calls:
            self._held_usd = 0.0  # floats that were added and subtracted leave dust
        self.used_usd += cost_usd
        self.used_calls += counts
        while self._waiting:
            if not (waiter := self._waiting.popleft()).done():
                waiter.set_result(None)

    async def _next_settlement(self) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        await waiter

    def _fits(self, usd: float, calls: int) -> bool:
        return (self.usd is None or self.used_usd + usd <= self.usd + SLACK_USD) and (
            self.calls is None or self.used_calls + calls <= self.calls
        )

    def _exhausted(self, worst_usd: float) -> str:
        if self.calls is not None and self.used_calls >= self.calls:
            return (
                f"budget.calls: {self.used_calls} of {self.calls} calls are used; everything done is kept, "
                "raise it to go on"
            )
        return (
            f"budget.usd: ${self.used_usd:.4f} of ${self.usd:g} is used, and the next call may cost up to "
            f"${worst_usd:.4f}; everything done is kept, raise it to go on"
        )
