"""How much of the validation set a new workflow is worth: graded in stages, as long as it may become the best one.

Problems come in one order for the whole search, so that workflows which were graded on few of them were graded on the
same ones. After each stage the child's gain over its parent is believed as in ``estimates``, and it goes on if

    X(c) + z * sd(c) > X(best)

with sd(c)^2 = tau^2 * kappa / (n + kappa), what is not known yet of its gain. A child that may be the best one is
graded on everything, so a new best workflow always rests on the full set; the others keep what they were graded on,
shrunk. No guarantee on error rates is claimed: dropping a child too early costs a
chance, never a wrong claim, because what is delivered is confirmed apart (``evaluation``).
"""

from __future__ import annotations

import math

from aflow_verl.search.estimates import Estimates
from aflow_verl.search.gains import PairedGain

Z = 1.0
"""Standard deviations by which a child must lag behind to be given up."""
FIRST, LEAST = 8, 4
"""The first stage is one in ``FIRST`` of the problems, ``LEAST`` at least; each further one doubles what is known."""


def stages(problems: int) -> tuple[int, ...]:
    """Problems graded after each stage, ascending, the last all of them."""
    counts, count = [], max(LEAST, math.ceil(problems / FIRST))
    while count < problems:
        counts.append(count)
        count *= 2
    return (*counts, problems)


def may_be_best(gain: PairedGain, parent_x: float, best_x: float, estimates: Estimates, z: float = Z) -> bool:
    """Whether a child with this gain over its parent, so far, is worth another stage."""
    kappa = estimates.kappa
    x = parent_x + gain.n / (gain.n + kappa) * gain.mean
    sd = estimates.tau * math.sqrt(kappa / (gain.n + kappa))
    return x + z * sd > best_x
