"""The rules by which candidates are scored. Each takes the critic's say in through ``field.mix``, once.

``ucb``         X + c * spread * sqrt(ln(1 + N) / (1 + n))                       UCB1 (Auer et al., 2002)
``puct``        X + c * spread * P * K * sqrt(1 + N) / (1 + n)                   PUCT (Silver et al., 2017)
``thompson``    a draw from the posterior of X, plus the exploration of ucb      Thompson, 1933
``greedy``      X
``soft_mixed``  a draw from AFlow's distribution (arXiv 2410.10762), on plain mean scores

X are the believed scores, N all edits so far, n those of the candidate, K the number of candidates. Exploration terms
are in units of ``spread``, the size of a typical gain, so that they mean the same whether scores differ by tenths or by
thousandths. P is the policy's probability of the edit that made the candidate, half of it replaced by the uniform
distribution: a narrow policy would starve a rare good edit.
"""

from __future__ import annotations

import math

import numpy as np

from aflow_verl.config import SearchConfig
from aflow_verl.search.selection import Field, Floats


def ucb(field: Field, settings: SearchConfig, rng: np.random.Generator) -> Floats:
    return field.mix(field.x_K + _exploration(field, settings))


def puct(field: Field, settings: SearchConfig, rng: np.random.Generator) -> Floats:
    share_K = prior(field.logprob_K) * len(field.ids)
    explore_K = settings.c_puct * field.spread * share_K * math.sqrt(1.0 + field.total) / (1.0 + field.n_K)
    return field.mix(field.x_K + explore_K)


def thompson(field: Field, settings: SearchConfig, rng: np.random.Generator) -> Floats:
    drawn_K = field.x_K + field.sd_K * rng.standard_normal(len(field.ids))
    return field.mix(drawn_K + _exploration(field, settings))


def greedy(field: Field, settings: SearchConfig, rng: np.random.Generator) -> Floats:
    return field.mix(field.x_K)


def soft_mixed(field: Field, settings: SearchConfig, rng: np.random.Generator) -> Floats:
    """P = lambda / n + (1 - lambda) * softmax(alpha * 100 * s) over a pool of n: the seed, where it can be edited, and
    the best ``sample - 1`` others. ln P plus Gumbel noise is highest with probability P; -inf outside of the pool."""
    rules = settings.soft_mixed
    s_K = field.mix(field.mean_K)
    seed = [k for k, node_id in enumerate(field.ids) if node_id == field.root_id]
    others = [k for k in np.argsort(-s_K, kind="stable").tolist() if k not in seed]
    pool = np.array(seed + others[: max(rules.sample - 1, 1 - len(seed))])  # without the seed at least one other
    score_K = np.full(len(s_K), -np.inf)
    score_K[pool] = np.log(soft_mixed_probabilities(s_K[pool], rules.alpha, rules.lambda_)) + rng.gumbel(size=len(pool))
    return score_K


def soft_mixed_probabilities(scores_K: Floats, alpha: float, lambda_: float) -> Floats:
    """P_K for scores in [0, 1] (times 100 here); one candidate gets 1."""
    percent_K = 100.0 * np.asarray(scores_K, dtype=np.float64)
    weights_K = np.exp(alpha * (percent_K - percent_K.max()))
    probabilities_K: Floats = lambda_ / len(percent_K) + (1.0 - lambda_) * weights_K / weights_K.sum()
    return probabilities_K


def prior(logprob_K: Floats) -> Floats:
    """Shares that sum to 1: half uniform, half in proportion to exp(logprob), an unknown one counting as the mean."""
    uniform = 1.0 / len(logprob_K)
    known = ~np.isnan(logprob_K)
    if not known.any():
        return np.full(len(logprob_K), uniform)
    weights_K = np.exp(np.where(known, logprob_K, -np.inf) - logprob_K[known].max())
    weights_K[~known] = weights_K[known].mean()
    return np.asarray(0.5 * uniform + 0.5 * weights_K / weights_K.sum())


def _exploration(field: Field, settings: SearchConfig) -> Floats:
    return settings.c_ucb * field.spread * np.sqrt(math.log1p(field.total) / (1.0 + field.n_K))
