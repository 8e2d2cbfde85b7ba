"""How long to wait before the next try.

As long as the server asks, else a random time below a bound that doubles ("full jitter": Brooker, Exponential Backoff
And Jitter, AWS Architecture Blog, 2015): tries that failed together don't come back together.
"""

from __future__ import annotations

import random

LONGEST_WAIT_S = 60.0
STRETCH = 0.1
"""A wait that the server asks for is stretched by up to this share."""
_DOUBLINGS = 30
"""The bound is beyond any longest wait by then; more would overflow."""


def wait_s(asked_s: float | None, failures: int, backoff_s: float, source: random.Random) -> float:
    """Seconds before the next try of a call that has failed ``failures`` times.

    U(asked, 1.1 asked) where the server asks for a wait; else U(0, min(60, backoff * 2^(failures - 1))).
    """
    if asked_s is not None:
        return asked_s * (1 + STRETCH * source.random())
    bound = backoff_s * 2.0 ** min(max(0, failures - 1), _DOUBLINGS)
    return min(LONGEST_WAIT_S, bound) * source.random()
