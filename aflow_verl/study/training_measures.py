"""What a simulated training run says of the signal, the rows, X and the best workflow: named numbers of one seed."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from aflow_verl.statistics import Interval
from aflow_verl.study.training import Simulation, advantages
from aflow_verl.study.world import INVALID, STOP

Floats = NDArray[np.float64]
Numbers = dict[str, float]
PARTS = ("A^E", "A^S", "A")
LEAST_ROWS = 4
"""Rows on the shared tree below which a step says nothing of how they spread."""


def signal(found: Simulation) -> Numbers:
    """Of the rows of all steps but the first, which knows the seed alone.

    For A^E, A^S and A: ``correlation`` with the true gain over valid rows, and ``ratio``, (mean of good - mean of bad)
    / standard deviation over valid rows. For A: the mean by kind of reply.
    """
    rows = [row for row in found.rows if row.step > 1]
    made = advantages(rows, found.shape)
    kind_N = np.array([row.kind for row in rows])
    valid_N = ~np.isin(kind_N, [INVALID, STOP])
    gain_N = np.array([row.gain for row in rows])
    numbers: Numbers = {}
    for name, value_N in zip(PARTS, (made.episode_N, made.step_N, made.total_N), strict=True):
        numbers[f"{name}/correlation"] = correlation(value_N[valid_N], gain_N[valid_N])
        numbers[f"{name}/ratio"] = separation(value_N[valid_N], kind_N[valid_N])
    for kind in found.truth.world.odds:
        here = kind_N == kind
        numbers[f"mean/{kind}"] = float(made.total_N[here].mean()) if here.any() else math.nan
    return numbers


def separation(value_N: Floats, kind_N: NDArray[np.str_]) -> float:
    """(mean of good - mean of bad) / standard deviation; NaN where there is none of a kind."""
    good, bad = value_N[kind_N == "good"], value_N[kind_N == "bad"]
    if not len(good) or not len(bad) or value_N.std() == 0.0:
        return math.nan
    return float((good.mean() - bad.mean()) / value_N.std())


def correlation(left_N: Floats, right_N: Floats) -> float:
    """Pearson's; NaN where one side does not vary."""
    if len(left_N) < 2 or left_N.std() == 0.0 or right_N.std() == 0.0:
        return math.nan
    return float(np.corrcoef(left_N, right_N)[0, 1])


def spread(found: Simulation) -> Numbers:
    """How the edits of rows on the shared tree spread over workflows, and children against widening's limit.

    ``share``: the largest share of one workflow in a step, in the mean over steps; ``largest``: in the worst step. Only
    steps that began with more than the seed and have ``LEAST_ROWS`` such rows count.
    """
    edits: dict[int, Counter[str]] = defaultdict(Counter)
    starts: dict[int, set[int]] = defaultdict(set)
    for row in found.rows:
        if row.start == "snapshot" and row.step > 1:
            edits[row.step][row.node_id] += 1
            starts[row.step].add(row.row)
    shares = [max(edits[step].values()) / edits[step].total() for step in edits if len(starts[step]) >= LEAST_ROWS]
    search, tree = found.shape.search, found.tree
    parents = [node for node in tree if tree.children(node.id)]
    limits = [search.widening_k * max(1, node.visits) ** search.widening_a for node in parents]
    return {
        "share": float(np.mean(shares)) if shares else math.nan,
        "largest": max(shares, default=math.nan),
        "children": float(np.mean([len(tree.children(node.id)) for node in parents])),
        "limit": float(np.mean(limits)),
    }


def calibration(found: Simulation) -> Numbers:
    """X against the true scores, over all workflows of the tree but the seed: ``bias`` of X, ``correlation``, and
    ``coverage`` of X +- 1.96 sd."""
    estimates = found.tree.estimates()
    others = [node for node in found.tree if node.parent_id is not None]
    true_N = np.array([found.truth.score(node.id) for node in others])
    x_N = np.array([estimates.x[node.id] for node in others])
    sd_N = np.array([estimates.sd[node.id] for node in others])
    return {
        "bias": float((x_N - true_N).mean()),
        "correlation": correlation(x_N, true_N),
        "coverage": float((np.abs(x_N - true_N) <= 1.96 * sd_N).mean()),
        "kappa": estimates.kappa,
        "workflows": float(len(others)),
    }


def drift(found: Simulation) -> Numbers:
    """Where the best workflow stands in truth: as the tree believes, and as confirmed.

    ``way``: (its score - the seed's) / (the best score in the tree - the seed's); ``above``: 1 where it is above the
    seed. All NaN in a tree without anything better than the seed.
    """
    score = {node.id: found.truth.score(node.id) for node in found.tree}
    seed, top = score[found.tree.root_id], max(score.values())
    numbers: Numbers = {"possible": top - seed}
    for name, node_id in (("believed", found.tree.best().id), ("confirmed", found.confirmed)):
        gain = score[node_id] - seed
        numbers[f"{name}/way"] = gain / (top - seed) if top > seed else math.nan
        numbers[f"{name}/above"] = float(gain > 0.0) if top > seed else math.nan
        numbers[f"{name}/gain"] = gain
    return numbers


def summary(seeds: Sequence[Numbers]) -> dict[str, Interval]:
    """Mean and 95 % interval of each number over seeds (Student's t); NaN are left out."""
    names = list(dict.fromkeys(name for numbers in seeds for name in numbers))
    return {name: over_seeds([numbers[name] for numbers in seeds if name in numbers]) for name in names}


def over_seeds(values: Sequence[float]) -> Interval:
    """Mean and 95 % interval; of one value the interval is unbounded, of none all is NaN."""
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return Interval(math.nan, math.nan, math.nan, 0)
    mean = math.fsum(known) / len(known)
    if len(known) < 2:
        return Interval(mean, -math.inf, math.inf, 1)
    from scipy.special import stdtrit  # takes long to import

    half = float(stdtrit(len(known) - 1, 0.975)) * float(np.std(known, ddof=1)) / math.sqrt(len(known))
    return Interval(mean, mean - half, mean + half, len(known))


def merged(parts: Mapping[str, Numbers]) -> Numbers:
    """Numbers of several measures in one, each under its measure's name."""
    return {f"{part}/{name}": value for part, numbers in parts.items() for name, value in numbers.items()}
