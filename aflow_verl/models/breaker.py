"""Takes a server that fails again and again for down, and asks it seldom until it answers (Nygard, Release It!)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from aflow_verl.errors import ModelUnavailable
from aflow_verl.models.waiting import Sleep, sleep_unless

OUTAGE_KINDS = frozenset({"connection", "timeout", "server_error", "overloaded"})
"""Failures that a server which is down or restarting gives. A rate limit or a broken reply comes from one that runs."""
FAILURES_TO_OPEN = 10
"""In a row. At a fault rate of 30 % this happens by chance in 6 of a million calls; a dead server does it at once."""
LONGEST_COOLDOWN_S = 60.0


class CircuitBreaker:
    """Closed: calls pass. Open: they wait, and one at a time probes the server after a cool-down that doubles."""

    def __init__(
        self,
        cooldown_s: float,
        patience_s: float,
        *,
        failures_to_open: int = FAILURES_TO_OPEN,
        clock: Callable[[], float] = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """``patience_s``: how long the server may be down before waiting calls fail."""
        self._first_cooldown_s = cooldown_s
        self._patience_s = patience_s
        self._failures_to_open = failures_to_open
        self._clock = clock
        self._sleep = sleep
        self._failures = 0
        self._opened_at: float | None = None
        self._cooldown_s = cooldown_s
        self._probe_at = 0.0
        self._probing = False
        self._changed = asyncio.Event()

    @property
    def open(self) -> bool:
        return self._opened_at is not None

    async def admit(self) -> bool:
        """Wait until a call may be sent. True: it is a probe, and how it ends must be reported.

        Raises ModelUnavailable (``circuit_open``) where the server is down for longer than the patience.
        """
        while self._opened_at is not None:
            now, give_up_at = self._clock(), self._opened_at + self._patience_s
            if not self._probing and now >= self._probe_at:
                self._probing = True
                return True
            if now >= give_up_at:
                raise ModelUnavailable(
                    f"the model's server has not answered for {now - self._opened_at:.0f} s",
                    retryable=False,
                    kind="circuit_open",
                )
            wake_at = give_up_at if self._probing else min(give_up_at, self._probe_at)
            await sleep_unless(self._changed, wake_at - now, self._sleep)
        return False

    def alive(self) -> None:
        """The server has answered, whatever it said."""
        self._failures = 0
        if self.open:
            self._opened_at = None
            self._cooldown_s = self._first_cooldown_s
            self._probing = False
            self._notify()

    def failed(self, *, probe: bool) -> bool:
        """A failure of an outage kind. True: it has opened the circuit."""
        self._failures += 1
        if probe:
            self._cooldown_s = min(LONGEST_COOLDOWN_S, 2 * self._cooldown_s)
            self._probe_at = self._clock() + self._cooldown_s
            self.given_up()
        elif not self.open and self._failures >= self._failures_to_open:
            self._opened_at = self._clock()
            self._probe_at = self._opened_at + self._cooldown_s
            return True
        return False

    def given_up(self) -> None:
        """A probe has ended without telling anything."""
        self._probing = False
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
