"""The candidates at one node side by side, and what the critic says of them: what a fan keeps between selections."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aflow_verl.search.columns import LOGPROB, Bools, Columns, Floats, X
from aflow_verl.search.fusion import min_max
from aflow_verl.search.reach import gain, lift
from aflow_verl.search.selection import Situation

Places = slice | NDArray[np.int64]
"""Which entries of a fan are candidates."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """What candidates are, visits and the critic's word aside; a fan keeps it from one selection to the next."""

    ids: tuple[str, ...]
    here_K: Bools
    """Which of them mean "edit here"."""
    x_K: Floats
    x_hat_K: Floats
    """X, min-max."""
    prior_K: Floats
    nothing_K: Floats
    unknown_K: Floats
    """Zeros, and NaN."""


def candidates(fan: Columns, places: Places) -> Candidates:
    """Those at these places."""
    if isinstance(places, slice):
        return fan.kept(("candidates", places.start), lambda: _candidates_at(fan, places))
    return _candidates_at(fan, places)


def _candidates_at(fan: Columns, places: Places) -> Candidates:
    here_K = np.zeros(len(fan), dtype=np.bool_)
    here_K[0] = True
    x_K = fan.row(X)[places].copy()
    ids = tuple(fan.ids[places] if isinstance(places, slice) else [fan.ids[k] for k in places.tolist()])
    return Candidates(
        ids=ids,
        here_K=here_K[places],
        x_K=x_K,
        x_hat_K=min_max(x_K),
        prior_K=priors(fan.row(LOGPROB)[places]),
        nothing_K=np.zeros(len(ids)),
        unknown_K=np.full(len(ids), np.nan),
    )


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the critic says of candidates."""

    known_K: Bools
    inherited_K: Bools
    v_K: Floats
    q_K: Floats
    reach_K: Floats
    reach_hat_K: Floats


def opinion(situation: Situation, fan: Columns, places: Places, field: Candidates) -> Opinion:
    critic = situation.critic(fan)
    gamma = 1.0 if situation.q is None else situation.q.gamma

    def make() -> Opinion:
        lift_K = lift(situation.tree, fan, critic, gamma)
        reach_K = field.x_K + lift_K[places]
        return Opinion(
            known_K=critic.known[places],
            inherited_K=critic.inherited[places],
            v_K=critic.v[places],
            q_K=gain(fan, critic, lift_K)[places],
            reach_K=reach_K,
            reach_hat_K=min_max(reach_K),
        )

    if isinstance(places, slice) and not fan.ungraded():
        return fan.kept(("opinion", places.start, critic, gamma), make)
    return make()  # the reach of an entry in evaluation stands on the scores of its parent, whose fan may be another


def priors(logprob_K: Floats) -> Floats:
    """Shares of the policy's probability, summing to 1.

    Candidates without a log-probability (NaN) get 1 / K each; the others share the rest in proportion to exp(logprob).
    """
    unknown_K = np.isnan(logprob_K)
    unknown = int(np.count_nonzero(unknown_K))
    uniform = 1.0 / len(logprob_K)
    if unknown == len(logprob_K):
        return np.full(len(logprob_K), uniform)
    weights_K: Floats = np.exp(logprob_K - np.fmax.reduce(logprob_K))  # fmax passes over NaN
    weights_K[unknown_K] = 0.0
    prior_K: Floats = weights_K * ((1.0 - unknown * uniform) / weights_K.sum())
    prior_K[unknown_K] = uniform
    return prior_K
