"""Abilities of workflows and difficulties of problems, from whichever grades there are.

Rasch's model: workflow n solves problem p with probability sigmoid(ability_n + ease_p). The distribution of the ease
is not assumed but estimated, as weights on a grid (Bock and Aitkin 1981, Psychometrika 46, 443; weights as a free
mixture: Laird 1978, J. Am. Stat. Assoc. 73, 805), since most problems of a benchmark are solved by nearly all workflows
or by none. Whether a problem separates workflows is then known after two grades, and a workflow that was graded on hard
problems only is not taken for a weak one.

A score between 0 and 1 counts as that share of a solved problem (a quasi-likelihood), which overstates its noise.

Dimensions: N workflows, P problems, S problems that have a grade, G grid points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

EASE_G: Floats = np.linspace(-6.0, 6.0, 13)
"""Grid of the ease, in logits about the median workflow: from .25 % to 99.75 % solved."""
ABILITY_SD = 1.0
"""Prior scale of abilities, in logits. The final choice differs little between 0.5 and 2 (docs/study_replay.md)."""
ABILITY_DF = 2.0
"""Degrees of freedom of the abilities' t prior: its tails are so heavy that a crashed workflow pulls at nobody."""
SWEEPS = 8
"""Of EM from scratch; each one is also a Newton step of all abilities."""


@dataclass(frozen=True, eq=False)
class Grades:
    """What is known of N workflows on P problems."""

    count_NP: Ints
    """Grades of a cell; more than one where a workflow was run again on a problem."""
    total_NP: Floats
    """Sum of those grades, each in [0, 1]."""

    @staticmethod
    def of(grades: Mapping[str, Mapping[str, float]], problems: Sequence[str]) -> Grades:
        """Rows in the order of the mapping, columns in that of ``problems``; grades on other problems are left out."""
        table_NP = np.array(
            [[row.get(problem, np.nan) for problem in problems] for row in grades.values()], dtype=float
        )
        table_NP = table_NP.reshape(len(grades), len(problems))
        return Grades((~np.isnan(table_NP)).astype(np.int64), np.nan_to_num(table_NP))


@dataclass(frozen=True, eq=False)
class Fit:
    """The model's estimates."""

    ability_N: Floats
    """Logits, 0 for the median workflow."""
    ability_sd_N: Floats
    """From the curvature of the penalised likelihood."""
    prior_G: Floats
    """Distribution of the ease over all problems; also what is believed of a problem without grades."""
    ease_PG: Floats
    """What is believed of each problem's ease; rows sum to 1."""

    @property
    def solve_NG(self) -> Floats:
        """Probability that workflow n solves a problem of ease g."""
        return _sigmoid(self.ability_N[:, None] + EASE_G)


@dataclass(frozen=True, eq=False)
class Posterior:
    """Of each workflow's mean score over the P problems."""

    mean_N: Floats
    sd_N: Floats
    """0 for a workflow that is graded on all of them."""


def fit(grades: Grades, start: Fit | None = None, sweeps: int = SWEEPS) -> Fit:
    """Maximise the abilities' posterior density, the problems' ease integrated out, by EM.

    E: ease_pg ~ prior_g * prod_n solve_ng ** total_np * (1 - solve_ng) ** (count_np - total_np).
    M: prior_g = mean of ease_pg over the graded problems, with one problem's worth of even weights added;
       ability_n += (sum_p total_np - sum_pg count_np ease_pg solve_ng - pull_n) / (information_n + weight_n / sd ** 2),
       pull_n = weight_n * ability_n / sd ** 2, weight_n = (df + 1) / (df + (ability_n / sd) ** 2) for the t prior.

    ``start``: the estimates before the latest grades; two or three sweeps are enough from there. Without any grades all
    abilities are 0 and the ease is even over the grid.
    """
    n, size = len(grades.count_NP), len(EASE_G)
    seen_P = grades.count_NP.any(axis=0)
    count_NS, total_NS = grades.count_NP[:, seen_P].astype(float), grades.total_NP[:, seen_P]
    solved_N, missed_NS = total_NS.sum(axis=1), count_NS - total_NS
    ability_N = np.zeros(n) if start is None else start.ability_N
    prior_G = np.full(size, 1 / size) if start is None else start.prior_G
    sd_N = np.full(n, ABILITY_SD)
    ease_SG = np.empty((0, size))
    for _ in range(sweeps):
        logit_NG = ability_N[:, None] + EASE_G
        solved_NG = -np.logaddexp(0.0, -logit_NG)
        log_SG = total_NS.T @ solved_NG + missed_NS.T @ (solved_NG - logit_NG) + np.log(prior_G)
        ease_SG = np.exp(log_SG - log_SG.max(axis=1, keepdims=True))
        ease_SG /= ease_SG.sum(axis=1, keepdims=True)
        prior_G = (ease_SG.sum(axis=0) + 1 / size) / (len(ease_SG) + 1)
        solve_NG = np.exp(solved_NG)
        expected_NG = (count_NS @ ease_SG) * solve_NG
        weight_N = (ABILITY_DF + 1) / (ABILITY_DF + (ability_N / ABILITY_SD) ** 2) / ABILITY_SD**2
        curvature_N = (expected_NG * (1 - solve_NG)).sum(axis=1) + weight_N
        step_N = (solved_N - expected_NG.sum(axis=1) - weight_N * ability_N) / curvature_N
        # A crashed workflow has next to no curvature: whole Newton steps would overshoot.
        ability_N = ability_N + np.clip(step_N, -1.0, 1.0)
        ability_N = ability_N - np.median(ability_N)
        sd_N = 1 / np.sqrt(curvature_N)
    ease_PG = np.tile(prior_G, (grades.count_NP.shape[1], 1))
    ease_PG[seen_P] = ease_SG
    return Fit(ability_N, sd_N, prior_G, ease_PG)


def posterior(grades: Grades, fitted: Fit) -> Posterior:
    """Mean and sd of every workflow's mean score over the problems of ``grades``.

    mean_n = (sum of the graded cells' mean grades + sum of the other cells' predictions) / P, prediction_np =
    sum_g ease_pg solve_ng. The variance has two parts: the ability's, times the squared slope of the predictions in it,
    and what the scores of ungraded cells scatter about their predictions. A graded cell counts as known.
    """
    solve_NG, open_NP = fitted.solve_NG, grades.count_NP == 0
    predicted_NP = solve_NG @ fitted.ease_PG.T
    known_NP = grades.total_NP / np.maximum(grades.count_NP, 1)
    size = max(open_NP.shape[1], 1)
    mean_N = np.where(open_NP, predicted_NP, known_NP).sum(axis=1) / size
    slope_N = ((open_NP @ fitted.ease_PG) * solve_NG * (1 - solve_NG)).sum(axis=1) / size
    scatter_N = (open_NP * predicted_NP * (1 - predicted_NP)).sum(axis=1) / size**2
    return Posterior(mean_N, np.sqrt((slope_N * fitted.ability_sd_N) ** 2 + scatter_N))


def separation(fitted: Fit, workflows: Ints) -> Floats:
    """How much a grade on each of the P problems tells of these workflows' abilities: E[solve * (1 - solve)].

    Taken at their median ability. 0.25 where the outcome is open, 0 where all solve it, or none.
    """
    solve_G = _sigmoid(np.median(fitted.ability_N[workflows]) + EASE_G)
    return fitted.ease_PG @ (solve_G * (1 - solve_G))


def _sigmoid(logit: Floats) -> Floats:
    return np.exp(-np.logaddexp(0.0, -logit))
