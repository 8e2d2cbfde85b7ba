"""When a race between two workflows is over: a pure function of the paired differences so far.

Evidence against "the mean difference is at most m" is the wealth of a gambler who bets against it, starting with 1: the
mean over stakes s of prod(1 + s * (d_i - m)). Where the claim is true the wealth is not expected to grow, so that it
ever reaches 1 / alpha has probability at most alpha, however often one looks and whatever makes one stop (Ville 1939;
Waudby-Smith and Ramdas 2024, J. R. Stat. Soc. B 86, 1, "Estimating means of bounded random variables by betting";
the mixture over fixed stakes is theirs, too). For right or wrong answers and m = 0 it is a sequential McNemar test.

Besides "clearly better" and "clearly worse" a race may end as "close": the one that leads is clearly not worse by as
much as the margin, so whichever is taken, little is lost (the indifference zone of Bechhofer 1954 and Paulson 1964).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Verdict = Literal["better", "worse", "close", "cap", "incomplete"]
"""Of the child. ``close``: within the margin, as far as choosing the leader goes. ``cap``: not clear after all runs
that are allowed. ``incomplete``: the infrastructure failed; it says nothing."""

STAKES = np.array([0.05, 0.1, 0.2, 0.3, 0.45, 0.65, 0.85])
"""Growth is fastest at about gap / (share of problems on which the two differ): small stakes for small gaps."""
MARGIN_STAKES = np.array([0.1, 0.2, 0.35, 0.55, 0.75])
"""The same, for gaps that are at least the margin and usually twice that."""


def verdict(differences: Sequence[float], error_rate: float, margin: float) -> Verdict | None:
    """None while it is not clear.

    Args:
        differences: score of the child minus that of the parent, each in [-1, 1], in the order drawn.
        error_rate: chance, over the whole race, of ``better`` for a child that is not better, or of ``worse`` for
            one that is not worse, or of ending with the lead of one that is worse by the margin or more.
        margin: gap below which either choice will do; 0: no race ends as ``close``.
    """
    needed = math.log(2 / error_rate)  # half of the error rate for each direction
    gains = np.asarray(differences, dtype=float)
    if log_wealth(gains, 0.0, STAKES) >= needed:
        return "better"
    if log_wealth(-gains, 0.0, STAKES) >= needed:
        return "worse"
    if margin > 0:
        lead = gains if gains.sum() > 0 else -gains
        if log_wealth(lead, -margin, MARGIN_STAKES) >= needed:
            return "close"
    return None


def log_wealth(differences: NDArray[np.float64], mean: float, stakes: NDArray[np.float64]) -> float:
    """Logarithm of the wealth against "the mean difference is at most ``mean``", for ``mean`` in (-1, 0]; 0 for none.

    ``stakes`` in (0, 1), so that no single difference in [-1, 1] loses everything.
    """
    each = np.log1p(stakes[:, None] * (differences[None, :] - mean)).sum(axis=1)
    return float(np.logaddexp.reduce(each) - math.log(len(stakes)))
