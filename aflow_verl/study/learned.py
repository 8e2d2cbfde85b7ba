"""A small policy and critic, as training leaves them (``learning``): frozen, and used on landscapes never seen.

    pi(a | s) = (1 - floor) * softmax(theta . phi(s, a)) + floor / N
    V(s) = v . psi(s),    Q(s, a) = q . psi(s, a)                          absolute scores

The features (``knowledge``) know which edit it is, and what this search has seen of it so far: what is the same in all
landscapes of a family is known before the first edit, the rest within a search.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from aflow_verl.config import GigpoConfig, SearchConfig, StartConfig
from aflow_verl.study.knowledge import Experience, Floats, Knowledge, edit_features, made_features, node_features


@dataclass(frozen=True)
class Training:
    """How a policy and critic are trained (``learning``)."""

    seed: int = 0
    landscapes: int = 16
    """Of ``TRAINING_SEEDS``, one after the other."""
    steps: int = 6
    """Training steps on each, whose tree grows meanwhile."""
    rows: int = 8
    """Of a step."""
    sessions: int = 8
    """Episodes of a row."""
    edits: int = 4
    """Of an episode."""
    problems: int = 48
    """Of a row."""
    learning_rate: float = 0.1
    entropy: float = 0.01
    floor: float = 0.2
    """Share of the uniform distribution in the policy."""
    ridge: float = 1.0
    """Pull of the critic's weights to 0, in rows."""
    penalty: float = 0.1
    """Of an edit that crashes."""
    start: StartConfig = field(default_factory=StartConfig)
    gigpo: GigpoConfig = field(default_factory=GigpoConfig)
    search: SearchConfig = field(default_factory=lambda: SearchConfig(rl_weight=0.0))


@dataclass(frozen=True)
class Linear:
    """A linear function of features: weights (F) and an intercept."""

    weight_F: Floats
    intercept: float

    def __call__(self, features_NF: Floats) -> Floats:
        return np.asarray(features_NF @ self.weight_F + self.intercept)


@dataclass(frozen=True)
class Learned:
    """What training has left."""

    theta_F: Floats
    """Of the policy."""
    floor: float
    """Share of the uniform distribution in it: a narrow policy would starve a rare good edit."""
    node: Linear
    edit: Linear


def probabilities(theta_F: Floats, floor: float, mask: int, edits: Sequence[int], experience: Experience) -> Floats:
    """pi over the edits (N)."""
    logit_N = edit_features(mask, edits, experience) @ theta_F
    share_N = np.exp(logit_N - logit_N.max())
    return (1.0 - floor) * share_N / share_N.sum() + floor / len(edits)


class LearnedPolicy:
    """Proposes what it has learned to."""

    def __init__(self, learned: Learned) -> None:
        self._learned = learned

    def weights(self, mask: int, edits: Sequence[int], knowledge: Knowledge) -> Floats:
        return probabilities(self._learned.theta_F, self._learned.floor, mask, edits, knowledge.experience)


class LearnedCritic:
    """Says what it has learned to expect."""

    fixed = False

    def __init__(self, learned: Learned) -> None:
        self._learned = learned

    def nodes(self, masks: Sequence[int], shown: Sequence[float], knowledge: Knowledge) -> list[float]:
        found: list[float] = self._learned.node(node_features(masks, shown, knowledge.experience)).tolist()
        return found

    def edits(self, mask: int, edits: Sequence[int], shown: float, knowledge: Knowledge) -> list[float]:
        found: list[float] = self._learned.edit(made_features(mask, edits, shown, knowledge.experience)).tolist()
        return found


def to_json(learned: Learned) -> dict[str, Any]:
    """JSON-able form, to the last bit."""
    return {
        "theta": learned.theta_F.tolist(),
        "floor": learned.floor,
        "node": {"weight": learned.node.weight_F.tolist(), "intercept": learned.node.intercept},
        "edit": {"weight": learned.edit.weight_F.tolist(), "intercept": learned.edit.intercept},
    }


def from_json(data: Mapping[str, Any]) -> Learned:
    """Inverse of ``to_json``."""
    node, edit = (Linear(np.array(data[name]["weight"]), float(data[name]["intercept"])) for name in ("node", "edit"))
    return Learned(np.array(data["theta"]), float(data["floor"]), node, edit)
