"""Whether a challenger replaces the best workflow: a pure function of paired differences of scores.

The luckiest of many challengers looks better than it is, and the more of them there are, the luckier it is. So what a
challenger gained counts only as far as gains like that are to be expected of such challengers: the distribution of
their true gains is estimated from all of them (empirical Bayes; Robbins 1956, Efron 2016, Biometrika 103, 1). Among
useless challengers large gains are luck, and are shrunk to nothing; where many are better, a good one needs less proof.

    d_k | theta_k ~ N(theta_k, v_k),   theta_k ~ g,   g on ``GAINS`` = the maximum a posteriori under a Dirichlet prior

with d_k the mean paired difference of challenger k to the workflow that was the best then. A distribution on a grid,
and not a normal one, because some challengers are broken: they would widen a normal one on both sides.
The rule needs no correction for the number of challengers, nor a horizon, and can go on for as long as a search does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

GAINS = np.concatenate([[-1.0, -0.5, -0.25, -0.15], np.arange(-10, 11) / 100, [0.12, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8]])
"""Where true gains may lie; in points next to 0, coarser where nobody needs to know exactly."""
SMALL = (-0.01, 0.012)
"""Mean and standard deviation of most true gains before any challenger is known: the spread that small changes of
workflows have in recorded AFlow searches, in which an edit of a later workflow rather hurts."""
TAIL = (0.1, 0.05)
"""Share and scale of the others (a Cauchy distribution around 0): an edit may also fix or break nearly everything."""
PRIOR_CHALLENGERS = 4.0
"""How many challengers the prior counts for."""
ITERATIONS = 50
"""Of expectation maximisation; more change no decision."""
PRIOR_SQUARE, PRIOR_PROBLEMS = 0.06, 16.0
"""Mean squared difference on a problem (recorded searches: .24 squared), and the problems that it counts for."""
CAUTION = 1.0
"""Standard deviations of what is believed that the expected gain has to exceed."""
ERRORS = 1.0
"""Standard errors that a challenger has to lead by, over the best workflow and over the seed."""
LUCK = 2.0
"""Standard deviations of luck that a challenger which is behind is still given."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A challenger against the best workflow of its time, on ``n`` problems: sum of the paired differences of scores,
    and of their squares."""

    n: int
    total: float
    squares: float

    @classmethod
    def of(cls, differences: Sequence[float]) -> Trial:
        return cls(len(differences), math.fsum(differences), math.fsum(d * d for d in differences))

    @property
    def error(self) -> float:
        """Standard error of the total: sqrt(sum d^2 + 2 - (sum d)^2 / (n + 2)).

        That is a win and a loss added to the variance, as in the interval of Bonett and Price (2012), for right or
        wrong answers: 3 to 0 on 64 problems leads by 1.36 of it, not by the 1.77 of a variance of three answers.
        """
        return math.sqrt(self.squares + 2.0 - self.total * self.total / (self.n + 2))

    @property
    def lead(self) -> float:
        """The total in standard errors."""
        return self.total / self.error

    def interval(self, confidence: float, trials: int) -> tuple[float, float]:
        """Of the mean difference; so wide that all ``trials`` have theirs right at once (Bonferroni)."""
        half = NormalDist().inv_cdf(1.0 - (1.0 - confidence) / (2 * trials)) * self.error
        return (self.total - half) / self.n, (self.total + half) / self.n


@dataclass(frozen=True, slots=True)
class Belief:
    """Mean and standard deviation of a true gain, given all challengers."""

    mean: float
    sd: float


@dataclass(frozen=True, slots=True)
class Challenge:
    """What is known of one challenger when it is decided on."""

    over_best: Trial
    over_seed: Trial
    whole: bool
    """Whether it was tried on all problems; otherwise it was given up, and cannot win."""


def beliefs(trials: Sequence[Trial]) -> list[Belief]:
    """Of each challenger's true gain over the best workflow of its time; ``trials`` are all challengers so far."""
    if not trials:
        return []
    n, total, squares = (np.array(column, dtype=float) for column in zip(*map(_row, trials), strict=True))
    # The variance of few differences is no better known than that of all challengers.
    square = (squares.sum() + PRIOR_PROBLEMS * PRIOR_SQUARE) / (n.sum() + PRIOR_PROBLEMS)
    d = total / n
    v = (squares - n * d * d + PRIOR_PROBLEMS * square) / (n + PRIOR_PROBLEMS) / n
    exponent = -0.5 * (d[:, None] - GAINS) ** 2 / v[:, None]
    likelihood_KG = np.exp(exponent - exponent.max(axis=1, keepdims=True))
    prior_G = _prior()
    weight_G = prior_G
    for _ in range(ITERATIONS):
        # How many challengers each gain is to account for: each challenger's share in it, summed.
        count_G = weight_G * (likelihood_KG.T @ (1.0 / (likelihood_KG @ weight_G)))
        weight_G = (count_G + PRIOR_CHALLENGERS * prior_G) / (len(trials) + PRIOR_CHALLENGERS)
    share_KG = likelihood_KG * weight_G / (likelihood_KG @ weight_G)[:, None]
    mean = share_KG @ GAINS
    sd = np.sqrt(np.maximum(share_KG @ GAINS**2 - mean**2, 0.0))
    return [Belief(float(m), float(s)) for m, s in zip(mean, sd, strict=True)]


def winner(earlier: Sequence[Trial], challenges: Sequence[Challenge]) -> tuple[int, Belief] | None:
    """Which one of the challenges becomes the best workflow, and its gain over the one before; None for none.

    It is the highest expected gain of those whose expected gain exceeds ``CAUTION`` standard deviations, and that lead
    both the best workflow and the seed by more than ``ERRORS`` standard errors: many small lucky steps don't add up.

    Args:
        earlier: all challengers so far, each against the best workflow of its time.
        challenges: those to be decided on, against the best workflow as it is.
    """
    believed = beliefs([*earlier, *(challenge.over_best for challenge in challenges)])[len(earlier) :]
    able = [
        (belief.mean, -index)
        for index, (challenge, belief) in enumerate(zip(challenges, believed, strict=True))
        if challenge.whole
        and belief.mean > CAUTION * belief.sd
        and min(challenge.over_best.lead, challenge.over_seed.lead) > ERRORS
    ]
    if not able:
        return None
    index = -max(able)[1]
    return index, believed[index]


def hopeless(differences: Sequence[float], headroom: Sequence[float]) -> bool:
    """Whether a challenger may be given up: with all the luck it is given, it will not lead as ``winner`` asks.

    Args:
        differences: so far, on problems in random order.
        headroom: what the best workflow leaves to be gained on each problem to come: 1 minus its score.
    """
    trial, left = Trial.of(differences), len(headroom)
    sd = math.sqrt((trial.squares + 1.0) / (trial.n + 1))
    most = min(math.fsum(headroom), LUCK * sd * math.sqrt(left))
    return trial.total + most < ERRORS * sd * math.sqrt(trial.n + left)


def _row(trial: Trial) -> tuple[float, float, float]:
    return trial.n, trial.total, trial.squares


def _prior() -> NDArray[np.float64]:
    (mean, sd), (share, scale) = SMALL, TAIL
    width = np.gradient(GAINS)
    small = np.exp(-0.5 * ((GAINS - mean) / sd) ** 2) * width
    tail = width / (1.0 + (GAINS / scale) ** 2)
    return (1.0 - share) * small / small.sum() + share * tail / tail.sum()
