"""A landscape: workflows whose exact score, optimum and value are known, and their results on problems.

A workflow is a set of edits, written as a bit mask; an edit toggles its bit, or, in a family with dead ends, only sets
it. Its true score is

    f(mask) = base + gain * share(good edits and trap that are on) - (cost of the harmful edits that are on)

within [.02, .98], and 0 once an edit that crashes is on. Its result on a problem is

    1[ sqrt(rho) z_problem + sqrt(1 - rho) e_(problem, workflow) < Phi^-1(f) ],   z, e standard normal,

so that over infinitely many problems the mean is f, and two workflows share what is hard. Everything follows from
(family, seed): the same workflow has the same results in every search.

Which edit plays which role is shared by the landscapes of a family up to a part that is dealt anew for each seed.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from aflow_verl.study.families import Family
from aflow_verl.study.shapes import SHAPES, Shape
from aflow_verl.workflow.state import WorkflowState

GAMMA = 0.95
"""Discount of an edit, as in the project's tree returns."""
LOWEST, HIGHEST = 0.02, 0.98
"""Bounds of a true score, crashes excepted."""


@dataclass(frozen=True)
class LandscapeState(WorkflowState):
    """A workflow of a landscape. Its mask is its identity, which saves the search the hashing of code."""

    mask: int = 0

    @cached_property
    def hash(self) -> str:
        return f"{self.mask:x}"


class Landscape:
    """One landscape of a family. All methods are pure; what they work out is kept."""

    def __init__(self, family: Family, seed: int, shapes: Mapping[str, Shape] = SHAPES) -> None:
        self.family = family
        self.seed = seed
        self._key = zlib.crc32(family.name.encode())
        rng = np.random.default_rng([self._key, seed])
        roles = _roles(family, self._key, rng)
        good = family.good
        weights_G = rng.dirichlet([3.0] * good)
        costs = rng.uniform(family.harm[0], family.harm[1], family.harmful)
        self.good = tuple(roles[:good])
        """The good edits, in the order of their roles."""
        rest = roles[good:]
        self.trap = rest.pop(0) if family.trap else None
        self.cost = dict(zip(rest[: family.harmful], costs.tolist(), strict=True))
        """Harmful edit -> what it costs."""
        self.crashing = frozenset(rest[family.harmful : family.harmful + family.crashing])
        self._keys = self.good if self.trap is None else (*self.good, self.trap)
        self._harmful_mask = _mask(self.cost)
        self.crash_mask = _mask(self.crashing)
        self._share_S = _shares(family, weights_G, shapes[family.shape])
        self._reach_S, self._distance_S = _reach(self._share_S, undo=family.undo)
        z_P = np.random.default_rng([self._key, seed, 1]).standard_normal(family.problems)
        self._shared_P = z_P * math.sqrt(family.rho)
        self.problems = tuple(f"p{k}" for k in range(family.problems))
        """Ids of the validation problems."""
        self._scores: dict[int, float] = {}
        self._grades: dict[int, NDArray[np.float64]] = {}

    @cached_property
    def optimum(self) -> float:
        """The highest true score that can be reached from the seed."""
        return self.reachable(0)[0]

    def state(self, mask: int) -> LandscapeState:
        """The workflow as the project's tree holds it."""
        return LandscapeState(self.family.name, "", "", (), mask=mask)

    def edits(self, mask: int) -> list[int]:
        """The edits that can be made of a workflow."""
        count = self.family.edits
        return list(range(count)) if self.family.undo else [edit for edit in range(count) if not mask >> edit & 1]

    def apply(self, mask: int, edit: int) -> int:
        """The workflow that the edit makes."""
        return mask ^ (1 << edit)

    def score(self, mask: int) -> float:
        """f, the true score."""
        found = self._scores.get(mask)
        if found is None:
            found = 0.0 if mask & self.crash_mask else self._bounded(self._share_S[self._key_state(mask)], mask)
            self._scores[mask] = found
        return found

    def reachable(self, mask: int) -> tuple[float, int]:
        """(the highest true score that can be reached, the least number of edits that reach it)."""
        key_state = self._key_state(mask)
        distance = int(self._distance_S[key_state])
        share = self._reach_S[key_state]
        spoilt = mask & (self._harmful_mask | self.crash_mask)
        if self.family.undo:
            return self._bounded(share, 0), distance + spoilt.bit_count()
        if mask & self.crash_mask:
            return 0.0, 0
        return self._bounded(share, mask), distance

    def value(self, mask: int) -> float:
        """V*, the gain of the shortest plan to the best workflow in reach, discounted by its length d:
        GAMMA^(d - 1) (f* - f), and 0 where nothing can be gained."""
        best, distance = self.reachable(mask)
        return GAMMA ** (distance - 1) * (best - self.score(mask)) if distance else 0.0

    def promise(self, mask: int) -> float:
        """The score that can be reached, discounted: f + V*. What a critic's V(s) stands for."""
        return self.score(mask) + self.value(mask)

    def edit_promise(self, mask: int, edit: int) -> float:
        """f(s) + Q*(s, a) = f(child) + GAMMA V*(child), V* at least 0. What a critic's Q(s, a) stands for."""
        child = self.apply(mask, edit)
        return self.score(child) + GAMMA * max(0.0, self.value(child))

    def label(self, mask: int, edit: int) -> int:
        """+1 where the edit brings the best workflow in reach nearer, -1 where it takes it away or farther, else 0."""
        best, distance = self.reachable(mask)
        best_after, distance_after = self.reachable(self.apply(mask, edit))
        if best_after < best - 1e-12:
            return -1
        return (distance > distance_after) - (distance < distance_after)

    def results(self, mask: int) -> NDArray[np.float64]:
        """Results on all validation problems (P), each 0 or 1, in the order of ``problems``."""
        found = self._grades.get(mask)
        if found is None:
            rng = np.random.default_rng([self._key, self.seed, mask & 0xFFFFFFFF, mask >> 32])
            own_P = rng.standard_normal(self.family.problems) * math.sqrt(1.0 - self.family.rho)
            score = self.score(mask)
            threshold = -math.inf if score <= 0.0 else _STANDARD_NORMAL.inv_cdf(score)
            found = self._grades[mask] = (self._shared_P + own_P < threshold).astype(np.float64)
        return found

    def grades(self, mask: int, problems: Sequence[int] | None = None) -> dict[str, float]:
        """Problem id -> result; ``problems``: their indices, None for all of them."""
        results_P = self.results(mask)
        if problems is None:
            return dict(zip(self.problems, results_P.tolist(), strict=True))
        return {self.problems[k]: float(results_P[k]) for k in problems}

    def _key_state(self, mask: int) -> int:
        """Index in the tables: bit k says whether the k-th good edit is on, the last bit is the trap's."""
        state = 0
        for bit, edit in enumerate(self._keys):
            state |= (mask >> edit & 1) << bit
        return state

    def _bounded(self, share: float, mask: int) -> float:
        family = self.family
        score = family.base + family.gain * float(share)
        harmful = mask & self._harmful_mask
        while harmful:
            lowest = harmful & -harmful
            score -= self.cost[lowest.bit_length() - 1]
            harmful ^= lowest
        return min(HIGHEST, max(LOWEST, score))


_STANDARD_NORMAL = NormalDist()


def _mask(edits: Mapping[int, float] | frozenset[int]) -> int:
    return sum(1 << edit for edit in edits)


def _roles(family: Family, key: int, rng: np.random.Generator) -> list[int]:
    """Edit ids in the order of roles: good, trap, harmful, crashing, neutral.

    The usual order is the family's. Each edit leaves its role with probability 1 - ``common``; those that do are dealt
    anew among the roles left free.
    """
    order = np.random.default_rng([key]).permutation(family.edits)
    moved = np.flatnonzero(rng.random(family.edits) >= family.common)
    order[moved] = order[rng.permutation(moved)]
    return [int(edit) for edit in order]


def _shares(family: Family, weights_G: NDArray[np.float64], shape: Shape) -> NDArray[np.float64]:
    """Share of the possible gain in each state of the good edits and the trap."""
    keys = family.good + family.trap
    on_SK = (np.arange(2**keys)[:, None] >> np.arange(keys)[None, :] & 1).astype(bool)
    trap_S = on_SK[:, -1] if family.trap else np.zeros(len(on_SK), dtype=bool)
    return np.asarray(shape(on_SK[:, : family.good], trap_S, weights_G, family.parameter), dtype=np.float64)


def _reach(share_S: NDArray[np.float64], *, undo: bool) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(best share in reach of each state, edits that it takes).

    States differ bit by bit and bits change independently, so one sweep over each bit is enough (a distance transform
    on the hypercube): take over from the neighbour that reaches more, or as much with fewer edits.
    """
    share_S = np.round(share_S, 12)  # sums of the same weights in another order are the same share
    best_S, distance_S = share_S.copy(), np.zeros(len(share_S), dtype=np.int64)
    index_S = np.arange(len(share_S))
    for bit in range(len(share_S).bit_length() - 1):
        neighbour_S = index_S ^ (1 << bit)
        other_S, steps_S = best_S[neighbour_S], distance_S[neighbour_S] + 1
        better_S = (other_S > best_S) | ((other_S == best_S) & (steps_S < distance_S))
        if not undo:
            better_S &= neighbour_S > index_S  # bits are only ever set
        best_S, distance_S = np.where(better_S, other_S, best_S), np.where(better_S, steps_S, distance_S)
    return best_S, distance_S
