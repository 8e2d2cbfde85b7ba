"""What the whole tree says of kinds of edit: which helped and which hurt, how often and how surely."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from aflow_verl.search.gains import Z
from aflow_verl.search.node import Node
from aflow_verl.search.view import TreeView

KindOf = Callable[[Node, Node], str]
"""(parent, child) -> the kind of edit that lies between them."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """All edits of one kind, anywhere in the tree."""

    kind: str
    count: int
    """Edits."""
    gain: float
    """Mean of their paired gains, weighted by the problems that they rest on."""
    low: float
    high: float
    """95 % interval of what such edits bring in the mean."""

    @property
    def line(self) -> str:
        """What a prompt shows, e.g. ``+0.04 [+0.01, +0.07] in 6 edits: adds Programmer``."""
        edits = "1 edit" if self.count == 1 else f"{self.count} edits"
        return f"{self.gain:+.2f} [{self.low:+.2f}, {self.high:+.2f}] in {edits}: {self.kind}"


def lessons(tree: TreeView, kind_of: KindOf) -> tuple[Lesson, ...]:
    """Best first. Variance of a kind's mean: noise over all of its problems, and the spread of true gains over its
    edits (``search.estimates``)."""
    estimates = tree.estimates()
    seen: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for node in tree:
        gain = tree.gain(node.id)
        if node.parent_id is not None and gain.n:
            seen[kind_of(tree[node.parent_id], node)].append((gain.n, gain.mean))
    found = []
    for kind, gains in seen.items():
        problems = sum(n for n, _ in gains)
        mean = sum(n * gain for n, gain in gains) / problems
        half = Z * math.sqrt(estimates.noise / problems + estimates.tau**2 / len(gains))
        found.append(Lesson(kind, len(gains), mean, mean - half, mean + half))
    return tuple(sorted(found, key=lambda lesson: (-lesson.gain, lesson.kind)))


def telling(found: tuple[Lesson, ...], limit: int) -> tuple[Lesson, ...]:
    """The ``limit`` best and the ``limit`` worst."""
    return found if len(found) <= 2 * limit else (*found[:limit], *found[-limit:])
