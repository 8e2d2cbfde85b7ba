"""The workflow that an episode with the start ``random`` stands on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from aflow_verl.search.experience import ExperiencePool
from aflow_verl.search.sampling import sample
from aflow_verl.search.tree import Tree

SHORTLIST = 0.25
"""Of the workflows, the share from which ``best`` and ``recent`` draw one, so that not all rows start alike."""


@dataclass(frozen=True, slots=True)
class _Start:
    node_id: str
    after: float
    surprise: float | None


def random_start(tree: Tree, pool: ExperiencePool, how: str, rng: np.random.Generator) -> str:
    """A node's id, by ``experience.sampling``.

    ``uniform``: any node alike; ``best``, ``recent``: any of the best or the newest quarter; ``surprising``: in
    proportion to the mean |V - return| of its edits.
    """
    starts = list(_starts(tree, pool, surprises=how == "surprising"))
    if how == "surprising":
        starts = list(sample(how, starts, 1, rng))
    elif how != "uniform":
        starts = list(sample(how, starts, math.ceil(SHORTLIST * len(starts)), rng))
    return starts[int(rng.integers(len(starts)))].node_id


def _starts(tree: Tree, pool: ExperiencePool, *, surprises: bool) -> Iterator[_Start]:
    x = tree.estimates().x
    for node in tree:
        yield _Start(node.id, x[node.id], _mean_surprise(pool, node.id) if surprises else None)


def _mean_surprise(pool: ExperiencePool, node_id: str) -> float | None:
    known = [record.surprise for record in pool.edits_of(node_id) if record.surprise is not None]
    return math.fsum(known) / len(known) if known else None
