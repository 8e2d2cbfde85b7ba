"""Trying again after a failure of the infrastructure."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from aflow_verl.errors import InfrastructureError

T = TypeVar("T")
LONGEST_WAIT_S = 60.0


async def with_retries(
    attempt: Callable[[], Awaitable[T]],
    *,
    retries: int,
    backoff_s: float,
    on: type[InfrastructureError] | tuple[type[InfrastructureError], ...],
    failed: Callable[[InfrastructureError], None],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> T:
    """``attempt()``, tried again up to ``retries`` times after ``on``; waits ``backoff_s``, doubled each time.

    ``failed`` hears of every failure. One that trying again can't help is raised at once, the last one at the end.
    """
    tried = 0
    while True:
        try:
            return await attempt()
        except on as failure:
            failed(failure)
            if not failure.retryable or tried == retries:
                raise
        await sleep(min(LONGEST_WAIT_S, backoff_s * 2**tried))
        tried += 1
