"""AFlow's rule: a flat choice among the seed and the best others, half greedy and half uniform.

    P(i) = lambda / n + (1 - lambda) * softmax(alpha_s * 100 * (s_i - s_max))        AFlow, arXiv 2410.10762

Pool: the seed and the best ``sample - 1`` other nodes. Without Q, s is the plain mean score, as in AFlow (not the
posterior mean that the tree selectors use). With Q, s = (1 - rl_weight) * mean + rl_weight * reach, where reach stands
on the plain mean too; the recipe's ``fusion`` does not apply, for nothing here needs one scale.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aflow_verl.search.columns import MEAN, Columns, Floats
from aflow_verl.search.comparison import Comparison
from aflow_verl.search.reach import lift
from aflow_verl.search.selection import SearchExhausted, Selected, Situation


def soft_mixed(situation: Situation) -> Selected:
    """Draws one node; takes exactly one number from the generator."""
    rules = situation.settings.soft_mixed
    columns = situation.tree.columns()
    lift_N, score_N = _scores(situation, columns)
    pool = _pool(situation, columns, score_N, rules.sample)
    if not len(pool):
        raise SearchExhausted("no workflow has an edit left to try")
    probabilities = soft_mixed_probabilities(score_N[pool], rules.alpha, rules.lambda_)
    chosen = draw(probabilities, float(situation.rng.random()))
    compared = _comparison(situation, columns, pool, lift_N[pool], score_N[pool])
    return Selected(compared.ids[chosen], (compared,))


def soft_mixed_probabilities(scores_K: Sequence[float] | Floats, alpha: float, lambda_: float) -> Floats:
    """P_K for scores in [0, 1] (times 100 here); one candidate gets 1."""
    percent_K = 100.0 * np.asarray(scores_K, dtype=np.float64)
    weights_K = np.exp(alpha * (percent_K - percent_K.max()))
    probabilities_K: Floats = lambda_ / len(percent_K) + (1.0 - lambda_) * weights_K / weights_K.sum()
    return probabilities_K


def draw(probabilities_K: Floats, uniform: float) -> int:
    """Inverse of the distribution function at ``uniform`` in [0, 1): what NumPy's own ``choice`` does."""
    cumulative_K = np.cumsum(probabilities_K)
    return int(np.searchsorted(cumulative_K / cumulative_K[-1], uniform, side="right"))


def _scores(situation: Situation, columns: Columns) -> tuple[Floats, Floats]:
    """(reach - X, s of the formula) of all N nodes."""
    critic, q, weight = situation.critic(columns), situation.q, situation.settings.rl_weight
    if q is None:
        return critic.rise, columns.row(MEAN)

    def make() -> tuple[Floats, Floats]:
        lift_N = lift(situation.tree, columns, critic, q.gamma)
        # (1 - alpha) * mean + alpha * (mean + lift), written so that alpha = 0 leaves the mean as it is, to the last
        # bit; where nothing is known the lift is 0
        return lift_N, columns.row(MEAN) + weight * lift_N

    return columns.kept(("soft_mixed", critic, q.gamma, weight), make)


def _pool(situation: Situation, columns: Columns, score_N: Floats, sample: int) -> NDArray[np.int64]:
    """Places of the seed and the best others, best first; of equals the seed, then the older."""
    left_N = score_N.copy()
    root = columns.index[situation.tree.root_id]
    pool = [root] if situation.can_edit(columns.ids[root]) else []
    left_N[root] = -np.inf
    while len(pool) < sample and left_N[best := int(left_N.argmax())] > -np.inf:
        left_N[best] = -np.inf
        if situation.can_edit(columns.ids[best]):
            pool.append(best)
    return np.array(sorted(pool, key=lambda k: score_N[k], reverse=True), dtype=np.int64)


def _comparison(
    situation: Situation, columns: Columns, pool: NDArray[np.int64], lift_K: Floats, score_K: Floats
) -> Comparison:
    ids = tuple(columns.ids[k] for k in pool.tolist())
    nodes = [situation.tree[node_id] for node_id in ids]
    nothing_K = np.zeros(len(ids))
    critic = situation.critic(columns)
    weight = 0.0 if situation.q is None else situation.settings.rl_weight
    return Comparison(
        at=situation.tree.root_id,
        ids=ids,
        here_K=np.ones(len(ids), dtype=np.bool_),
        x_K=columns.row(MEAN)[pool],
        n_K=np.array([node.edits for node in nodes], dtype=np.float64),
        in_flight_K=np.array([situation.in_flight.get(node_id, 0) for node_id in ids], dtype=np.float64),
        prior_K=nothing_K,
        v_K=critic.v[pool],
        q_K=critic.v[pool],
        inherited_K=critic.inherited[pool],
        reach_K=columns.row(MEAN)[pool] + lift_K,
        exploration_K=nothing_K,
        alpha_K=weight * critic.known[pool].astype(np.float64),
        score_K=score_K,
    )
