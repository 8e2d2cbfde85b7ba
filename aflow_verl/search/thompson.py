"""Thompson sampling on paired gains: a strong way to search without Q.

The gain of a child over its parent is a mean of differences on the problems that both were graded on, and the gains of
siblings are draws from one distribution. At each node a child's score is a draw from the posterior of its gain; "edit
here" scores a draw from the predictive distribution of the gain of one more child. The highest draw wins, so a child is
entered as often as it is likely to be better than a fresh edit.

    d_1..d_n ~ normal(m, s2),   m, s2 ~ normal-inverse-gamma(0, k0, a0, a0 * spread^2)
    posterior draw    m_n + sqrt(b_n / (a_n k_n)) * t(2 a_n)
    predictive draw   m_n + sqrt(b_n (k_n + 1) / (a_n k_n)) * t(2 a_n)

Sources: Thompson, "On the likelihood that one unknown probability exceeds another", 1933; Murphy, "Conjugate Bayesian
analysis of the Gaussian distribution", 2007, section 6. The critic has no say here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from aflow_verl.search.candidates import Places, candidates
from aflow_verl.search.columns import Columns, Floats
from aflow_verl.search.comparison import Comparison
from aflow_verl.search.descent import counts, descend
from aflow_verl.search.node import KAPPA, Node
from aflow_verl.search.selection import Selected, Situation

PRIOR_SHAPE = 1.0
"""a0: two pseudo-observations of the spread, the fewest with which a draw has a mean."""
SPREAD_OF_DIFFERENCES = 0.35
"""Of one problem's difference of scores: about one problem in eight changes sides."""
SPREAD_OF_GAINS = 0.1
"""Of siblings' gains: ten points are what a good or a bad edit is worth."""


@dataclass(frozen=True, slots=True)
class Student:
    """K Student t distributions."""

    location_K: Floats
    scale_K: Floats
    freedom_K: Floats


def thompson(situation: Situation) -> Selected:
    """Descends from the root; takes one number from the generator for every child of each node on the way, and one for
    the node itself, be they candidates or not."""

    def compare(at: Node, fan: Columns, places: Places, under_way: Mapping[str, int]) -> Comparison:
        believed = fan.kept("beliefs", lambda: beliefs(fan))
        spread_K = believed.scale_K * situation.rng.standard_t(believed.freedom_K)
        field = candidates(fan, places)
        n_K, o_K = counts(situation, at, fan, under_way)
        return Comparison(
            at=at.id,
            ids=field.ids,
            here_K=field.here_K,
            x_K=field.x_K,
            n_K=n_K[places].copy(),
            in_flight_K=o_K[places],
            prior_K=field.prior_K,
            v_K=field.unknown_K,
            q_K=field.unknown_K,
            inherited_K=field.nothing_K.astype(np.bool_),
            reach_K=field.x_K,
            exploration_K=spread_K[places],
            alpha_K=field.nothing_K,
            score_K=(believed.location_K + spread_K)[places],
        )

    return descend(situation, compare)


def beliefs(fan: Columns) -> Student:
    """What is believed of the gains over the fan's node: entry 0 of one more child, the others of the children."""
    gains = fan.gains()
    children = student(gains.n_K, gains.mean_K, gains.squares_K, SPREAD_OF_DIFFERENCES, predictive=False)
    siblings = children.location_K[1:]
    count = np.array([float(len(siblings))])
    mean = np.array([siblings.mean() if len(siblings) else 0.0])
    squares = np.array([((siblings - mean) ** 2).sum()])
    fresh = student(count, mean, squares, SPREAD_OF_GAINS, predictive=True)
    children.location_K[0], children.scale_K[0] = fresh.location_K[0], fresh.scale_K[0]
    children.freedom_K[0] = fresh.freedom_K[0]
    return children


def student(n_K: Floats, mean_K: Floats, squares_K: Floats, spread: float, *, predictive: bool) -> Student:
    """Posterior of the mean of n numbers with this mean and sum of squared distances from it, or of one more number;
    the formulas at the top of the file, with k0 = KAPPA and a0 = PRIOR_SHAPE."""
    k_K, a_K = KAPPA + n_K, PRIOR_SHAPE + n_K / 2.0
    b_K = PRIOR_SHAPE * spread**2 + squares_K / 2.0 + KAPPA * n_K * mean_K**2 / (2.0 * k_K)
    more = 1.0 + k_K if predictive else 1.0
    return Student(n_K * mean_K / k_K, np.sqrt(b_K * more / (a_K * k_K)), 2.0 * a_K)
