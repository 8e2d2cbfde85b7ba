"""How much say the critic has earned: its promises against what came of the edits afterwards.

Prequential (Dawid, 1984): only values that were in force *before* an edit was made are compared with what it then
brought. The score that the prompt shows is partialled out of both, so that a critic which repeats it earns nothing:

    r = corr(u, w),  u = value - E[value | shown],  w = outcome - E[outcome | shown]        partial correlation
    confidence = max(0, tanh(atanh(r) - z * max(1 / sqrt(n - 3 - V), se)))                  Fisher's lower bound
    se = sqrt(G / (G - 2) * sum over the groups g of (sum over g of u w)^2 / (sum u^2 * sum w^2))

A training changes the critic after every step, and a critic that only follows the mean of the outcomes from step to
step tells nothing of a choice within one. So the means of value, shown and outcome are taken out for each of the V
versions of the critic, before anything else.

Edits of one workflow share a prompt, and the luck of the workflow's own score: a group of them tells less than as many
edits of different workflows do. ``se`` is the standard error of r = 0 for G such groups (Liang and Zeger, 1986).
The confidence is 0 until the bound excludes 0, where either side has nothing left of its own, and below ``LEAST``
comparisons.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAST = 8
"""Comparisons below which nothing is believed."""
Z = 1.645
"""One-sided 95 %."""
WINDOW = 400
"""The newest comparisons that count: the critic of long ago was another one."""
NOTHING_LEFT = 1e-3
"""Share of a variance below which it is rounding: the value is a function of the shown score."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """One promise and what came of it, in score units."""

    value: float
    """What the critic said before the edit."""
    shown: float
    """The score that it was shown."""
    outcome: float
    """What the edit, or editing the workflow, reached."""
    group: str = ""
    """Those of one group share their luck; empty: it shares with none."""
    version: str = ""
    """The critic that said it: promises are compared with others of the same critic."""


def confidence(predictions: Sequence[Prediction]) -> float:
    """In [0, 1]; see the top of the file."""
    newest = predictions[-WINDOW:]
    left = _residuals(newest)
    if left is None or len(newest) < LEAST:
        return 0.0
    r, scale = _correlation(*left), math.sqrt(float(left[0] @ left[0]) * float(left[1] @ left[1]))
    sum_of: dict[str | int, float] = defaultdict(float)
    for k, (made, product) in enumerate(zip(newest, left[0] * left[1], strict=True)):
        sum_of[made.group or k] += float(product)
    groups = len(sum_of)
    if groups <= 2:
        return 0.0
    error = math.sqrt(groups / (groups - 2) * sum(total * total for total in sum_of.values())) / scale
    freedom = len(newest) - 3 - len({made.version for made in newest})
    if freedom < 1:
        return 0.0
    bound = math.atanh(min(max(r, -0.999), 0.999)) - Z * max(error, 1.0 / math.sqrt(freedom))
    return max(0.0, math.tanh(bound))


def partial_correlation(predictions: Sequence[Prediction]) -> float | None:
    """Of value and outcome given shown; None for fewer than five, and where nothing of either is left."""
    left = _residuals(predictions)
    return None if left is None else _correlation(*left)


def _residuals(predictions: Sequence[Prediction]) -> tuple[Floats, Floats] | None:
    """(u, w) of the top of the file."""
    if len(predictions) < 5:
        return None
    columns = np.array([(p.value, p.shown, p.outcome) for p in predictions])
    versions = np.unique([p.version for p in predictions], return_inverse=True)[1]
    counts = np.bincount(versions)
    for column in columns.T:  # in place
        column -= (np.bincount(versions, column) / counts)[versions]
    value, outcome = _without(columns[:, 0], columns[:, 1]), _without(columns[:, 2], columns[:, 1])
    return None if value is None or outcome is None else (value, outcome)


def _correlation(u: Floats, w: Floats) -> float:
    """Of numbers whose mean is 0."""
    return float(u @ w / math.sqrt((u @ u) * (w @ w)))


def _without(y: Floats, shown: Floats) -> Floats | None:
    """Residuals of y after a least-squares line in ``shown``; None where (almost) nothing is left."""
    y = y - y.mean()
    x = shown - shown.mean()
    total = float(y @ y)
    if total <= len(y) * 1e-12:
        return None
    if float(x @ x) > 0.0:
        y = y - x * float(x @ y) / float(x @ x)
    return y if float(y @ y) > NOTHING_LEFT * total else None
