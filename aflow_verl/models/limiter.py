"""How many calls may be in flight: as many as the server bears.

Additive increase, multiplicative decrease, as TCP does it (Chiu and Jain 1989, doi:10.1016/0169-7552(89)90019-6):
one place more after a window of successes, half of them after the server has said that it is too many.
"""

from __future__ import annotations

import asyncio
from collections import deque


class AdaptiveLimiter:
    """Places for calls, given out in the order of asking. Use from one event loop."""

    def __init__(self, most: int) -> None:
        self.limit = most
        """Calls in flight at present, at most; between 1 and ``most``."""
        self._most = most
        self._in_use = 0
        self._successes = 0
        self._round = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def acquire(self) -> int:
        """Wait for a place. Returns the round it was taken in, for ``too_many``."""
        if self._in_use >= self.limit or self._waiting:
            place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(place)
            try:
                await place
            except asyncio.CancelledError:
                if place.done() and not place.cancelled():
                    self.release()  # the place was given to us at the very moment of giving up
                raise
        else:
            self._in_use += 1
        return self._round

    def release(self) -> None:
        """Give a place back."""
        self._in_use -= 1
        self._hand_out()

    def success(self) -> None:
        """A call was answered."""
        self._successes += 1
        if self._successes >= self.limit:
            self._successes = 0
            self.limit = min(self._most, self.limit + 1)
            self._hand_out()

    def too_many(self, round_taken: int) -> None:
        """The server refused a call for its load. Calls sent before the last cut say nothing about the present limit,
        so a burst of refusals halves it once."""
        if round_taken == self._round:
            self._round += 1
            self._successes = 0
            self.limit = max(1, self.limit // 2)

    def _hand_out(self) -> None:
        while self._waiting and self._in_use < self.limit:
            place = self._waiting.popleft()
            if not place.done():
                self._in_use += 1
                place.set_result(None)
