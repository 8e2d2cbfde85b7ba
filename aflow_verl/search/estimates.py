"""What the scores of workflows are believed to be, by all grades of the tree.

    X(c) = X(s) + n / (n + kappa) * gain(c, s),    kappa = noise / tau^2

s is the first parent of c, ``gain`` their mean difference on the n problems that both were graded on. A normal model:
the true gain of an edit is a draw from normal(0, tau^2), and one problem shows it with variance ``noise``. Both are
estimated from all edges of the tree, so that a tree of small true differences believes little of what a few problems
say (empirical Bayes; the moment estimator of DerSimonian and Laird, 1986, with pseudo-observations for young trees).
Gains are shrunk towards 0 and not towards their mean, which is below 0 on most tasks: the mean is that of many useless
edits, the good ones are rare and large, and a search that takes every child for worse than its parent until proved
otherwise stays where it is (docs/study.md has the figures).
The variance of X adds up along the path: var(c) = var(s) + tau^2 * kappa / (n + kappa); that of a root is the
standard error of its mean.

A long path makes X vague: 16 problems an edge leave more doubt after four edges than an edit changes. So a node that
was graded where its parent was not, but the root was, is compared with the root directly. Such comparisons are exact
evidence of single nodes in a tree of normal variables, and two passes spread it to all others (belief propagation,
Pearl 1988): upwards, what a node and everything below it say of its parent; downwards, what all others say.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aflow_verl.search.gains import NOT_COMPARED, PairedGain, paired_gain
from aflow_verl.search.node import ROOT_PRIOR_MEAN, Node

Floats = NDArray[np.float64]

PRIOR_NOISE, PRIOR_NOISE_WEIGHT = 0.1, 8.0
"""Variance of one problem's difference (public AFlow runs: .06 to .15), and the pseudo-problems it counts for."""
PRIOR_TAU, PRIOR_TAU_WEIGHT = 0.05, 4.0
"""Root mean square of true gains, five points, and the pseudo-edges that it counts for."""
LEAST_TAU = 0.005
"""Half a point: below it nobody could tell two workflows apart, and kappa stays finite."""
ROOT_WEIGHT = 1.0
"""Pseudo-problems of the root's prior mean."""
CAUTION = 0.5
"""Standard deviations of a gain that a workflow has to make up for where it was hardly graded."""


@dataclass(frozen=True, slots=True)
class Estimates:
    """X and its standard deviation by node id, in the order of the nodes."""

    x: Mapping[str, float]
    sd: Mapping[str, float]
    noise: float
    """Variance of the difference of two workflows on one problem."""
    tau: float
    """Root mean square of the true gains of edits."""
    safe: Mapping[str, float] = field(default_factory=dict)
    """X less what it may lose once the node is graded on as many problems as the root: of many workflows that were
    hardly looked at, the one of the highest X is the luckiest."""

    @property
    def kappa(self) -> float:
        """Problems after which half of what was seen of a gain is believed."""
        return self.noise / (self.tau * self.tau)


@dataclass(frozen=True, slots=True)
class Known:
    """What a larger tree says to a part of it."""

    root_x: float
    noise: float
    tau: float


def estimate(nodes: Iterable[Node], gains: Mapping[str, PairedGain], known: Known | None = None) -> Estimates:
    """Estimates of nodes in an order in which parents come first.

    A node that shares no problem with its parent or the root stands where the parent stands; one without grades that
    comes from elsewhere, at the score that it came with.

    Args:
        gains: over the first parents, by node id.
        known: for a part of a larger tree; the root's standard deviation is 0 then.
    """
    by_id = {node.id: node for node in nodes}
    root = next(iter(by_id.values()))
    noise, tau = scale(gains.values()) if known is None else (known.noise, known.tau)
    edges = _Edges(gains, noise, tau)
    told = _direct(by_id, root, gains)
    passed = _upwards(by_id, root, edges, told) if told else {}

    root_x, root_variance = _of_root(root) if known is None else (known.root_x, 0.0)
    gain, variance = {root.id: 0.0}, {root.id: 0.0}  # over the root
    for node in by_id.values():
        if node is root or node.parent_id is None:
            continue
        if _imported(node):
            assert node.prior_mean is not None
            gain[node.id], variance[node.id] = node.prior_mean - root_x, max(0.0, tau * tau - root_variance)
            continue
        mean, doubt = gain[node.parent_id], variance[node.parent_id]
        if node.id in passed and doubt > 0.0:  # what this node itself said of its parent must not come back
            mean, doubt = _Evidence.of(mean, doubt).minus(passed[node.id]).moments
        step, spread = edges[node.id]
        mean, doubt = mean + step, doubt + spread
        if node.id in told:
            mean, doubt = _Evidence.of(mean, doubt).plus(told[node.id]).moments
        gain[node.id], variance[node.id] = mean, doubt
    x = {node_id: root_x + mean for node_id, mean in gain.items()}
    sd = {node_id: math.sqrt(root_variance + doubt) for node_id, doubt in variance.items()}
    safe = {
        node_id: x[node_id] - CAUTION * math.sqrt(doubt * _ungraded(by_id[node_id], root))
        for node_id, doubt in variance.items()
    }
    return Estimates(x, sd, noise, tau, safe)


@dataclass(frozen=True, slots=True)
class _Evidence:
    """A normal likelihood of a gain over the root."""

    precision: float
    weighted: float
    """Precision times mean."""

    @classmethod
    def of(cls, mean: float, variance: float) -> _Evidence:
        return cls(1.0 / variance, mean / variance)

    @property
    def moments(self) -> tuple[float, float]:
        """Mean and variance."""
        return self.weighted / self.precision, 1.0 / self.precision

    def plus(self, other: _Evidence) -> _Evidence:
        return _Evidence(self.precision + other.precision, self.weighted + other.weighted)

    def minus(self, other: _Evidence) -> _Evidence:
        return _Evidence(self.precision - other.precision, self.weighted - other.weighted)


@dataclass(frozen=True, slots=True)
class _Edges:
    """By child: the believed gain over the parent, and its variance."""

    gains: Mapping[str, PairedGain]
    noise: float
    tau: float

    def __getitem__(self, node_id: str) -> tuple[float, float]:
        gain = self.gains.get(node_id, NOT_COMPARED)
        tau2 = self.tau * self.tau
        kappa = self.noise / tau2
        return gain.n / (gain.n + kappa) * gain.mean, tau2 * kappa / (gain.n + kappa)


def _direct(by_id: dict[str, Node], root: Node, gains: Mapping[str, PairedGain]) -> dict[str, _Evidence]:
    """Comparisons with the root, of nodes that are no children of it, on problems that their parents lack. Their noise
    is pooled on its own: workflows that lie further apart differ on more problems."""
    found: dict[str, PairedGain] = {}
    for node in by_id.values():
        if node.parent_id is None or node.parent_id == root.id or _imported(node):
            continue
        if gains.get(node.id, NOT_COMPARED).n == len(node.grades):
            continue
        gain = paired_gain(node, root, without=by_id[node.parent_id].grades)
        if gain.n:
            found[node.id] = gain
    noise = pooled_noise(list(found.values()))
    return {node_id: _Evidence.of(gain.mean, noise / gain.n) for node_id, gain in found.items()}


def _upwards(by_id: dict[str, Node], root: Node, edges: _Edges, told: dict[str, _Evidence]) -> dict[str, _Evidence]:
    """What each node, with everything below it, says of its parent. Adds that to ``told`` of the parent."""
    passed: dict[str, _Evidence] = {}
    for node in reversed(by_id.values()):
        if node.id not in told or node.parent_id is None or node.parent_id == root.id or _imported(node):
            continue
        mean, variance = told[node.id].moments
        step, spread = edges[node.id]
        said = passed[node.id] = _Evidence.of(mean - step, variance + spread)
        told[node.parent_id] = told[node.parent_id].plus(said) if node.parent_id in told else said
    return passed


def _ungraded(node: Node, root: Node) -> float:
    """Share of the root's problems, by their number, that the node was not graded on."""
    return max(0.0, 1.0 - len(node.grades) / len(root.grades)) if root.grades else 0.0


def _imported(node: Node) -> bool:
    """Whether all that is known of it is the score that it came with."""
    return node.parent_id is not None and not node.grades and node.prior_mean is not None


def _of_root(root: Node) -> tuple[float, float]:
    """X and its variance."""
    n = len(root.grades)
    prior = ROOT_PRIOR_MEAN if root.prior_mean is None else root.prior_mean
    x = (_weighted_sum(root) + ROOT_WEIGHT * prior) / (n + ROOT_WEIGHT)
    return x, x * (1.0 - x) / (n + ROOT_WEIGHT)


def scale(gains: Iterable[PairedGain]) -> tuple[float, float]:
    """(noise, tau) by the gains of edges that were compared.

    noise: see ``pooled_noise``.
    tau^2: what is left of the mean square of the gains when their noise is taken off, each edge weighted by how little
    of its square is noise, w = 1 / (PRIOR_TAU^2 + noise / n)^2; a pseudo-edge weighs as much as the mean edge.
    """
    compared = [gain for gain in gains if gain.n]
    if not compared:
        return PRIOR_NOISE, PRIOR_TAU
    noise = pooled_noise(compared)
    n_E, gain_E = np.array([(gain.n, gain.mean) for gain in compared]).T
    error_E = noise / n_E
    w_E = 1.0 / (PRIOR_TAU**2 + error_E) ** 2
    pseudo = PRIOR_TAU_WEIGHT * float(w_E.mean())
    tau2 = (pseudo * PRIOR_TAU**2 + float(w_E @ (gain_E**2 - error_E))) / (pseudo + float(w_E.sum()))
    return noise, math.sqrt(max(tau2, LEAST_TAU**2))


def pooled_noise(compared: Sequence[PairedGain]) -> float:
    """Variance of one problem's difference: sums of squares over degrees of freedom, all comparisons together."""
    freedom = PRIOR_NOISE_WEIGHT + sum(gain.n - 1 for gain in compared)
    return (PRIOR_NOISE_WEIGHT * PRIOR_NOISE + math.fsum(gain.squares for gain in compared)) / freedom


def _weighted_sum(node: Node) -> float:
    """n times the weighted mean of the grades."""
    if not node.weights:
        return math.fsum(node.grades.values())
    w = [node.weights.get(problem, 1.0) for problem in node.grades]
    total = math.fsum(weight * score for weight, score in zip(w, node.grades.values(), strict=True))
    return total * len(w) / math.fsum(w)
