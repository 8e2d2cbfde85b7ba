"""What a search knows at one moment: all that a policy or a critic may read, and nothing of the truth.

Dimension letters: A edits of the landscape, N items asked about, F features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from aflow_verl.search.view import TreeView
from aflow_verl.study.landscapes import LandscapeState

Floats = NDArray[np.float64]

FARTHEST = 4.0
"""Typical gains beyond which an edit's mean gain looks the same to a policy."""


class Knowledge:
    """The tree's believed scores and its experience with each edit, as they are now."""

    def __init__(self, tree: TreeView, edits: int) -> None:
        """``edits``: how many edits the landscape has."""
        self._tree = tree
        self._edits = edits
        self.x: Mapping[str, float] = tree.estimates().x
        """Node id -> believed score, which is what a prompt shows of a workflow."""

    @cached_property
    def experience(self) -> Experience:
        """Made when it is asked for: most arms never do."""
        estimates = self._tree.estimates()
        total_A, count_A = np.zeros(self._edits), np.zeros(self._edits)
        for node in self._tree:
            gain = self._tree.gain(node.id)
            if gain.n:
                edit = int(node.action)
                assert isinstance(node.state, LandscapeState)
                sign = 1.0 if node.state.mask >> edit & 1 else -1.0
                total_A[edit] += sign * gain.n * gain.mean
                count_A[edit] += gain.n
        kappa = estimates.kappa
        return Experience(total_A / (count_A + kappa), count_A / (count_A + kappa), estimates.tau)


@dataclass(frozen=True, slots=True)
class Experience:
    """What came of each edit (A), wherever in the tree it was made."""

    gain_A: Floats
    """Shrunk mean gain of turning it on, n / (n + kappa) * mean over the n problems of all places (``estimates``); what
    turning it off brought counts with the other sign."""
    evidence_A: Floats
    """n / (n + kappa); 0 for an edit that was never made."""
    tau: float
    """Size of a typical gain."""


def bits(masks: Sequence[int], edits: int) -> Floats:
    """Which edits are on (N x A), as 0 and 1."""
    mask_N = np.array(masks, dtype=np.uint64)
    return (mask_N[:, None] >> np.arange(edits, dtype=np.uint64) & np.uint64(1)).astype(np.float64)


def edit_features(mask: int, edits: Sequence[int], experience: Experience) -> Floats:
    """Features of each edit of a workflow (N x (2 A + 3)), for a policy; none has a unit, so that they mean the same on
    every landscape.

    Which edit it is while off, which while on; whether it is on; what it gained elsewhere, in typical gains; how much
    is known of that.
    """
    edit_N = np.array(edits, dtype=np.int64)
    on_N = bits([mask], len(experience.gain_A))[0, edit_N]
    count = len(experience.gain_A)
    features = np.zeros((len(edits), 2 * count + 3))
    features[np.arange(len(edits)), edit_N + count * on_N.astype(np.int64)] = 1.0
    features[:, -3] = on_N
    gain_N = np.where(on_N > 0, -1.0, 1.0) * experience.gain_A[edit_N] / experience.tau
    features[:, -2] = np.clip(gain_N, -FARTHEST, FARTHEST)
    features[:, -1] = experience.evidence_A[edit_N]
    return features


def node_features(masks: Sequence[int], shown: Sequence[float], experience: Experience) -> Floats:
    """Features of workflows (N x (A + 4)), for a critic, in units of the score: the shown score; what the experience
    promises of all edits that are left, and of the best of them; the edits that are on, and their number."""
    on_NA = bits(masks, len(experience.gain_A))
    promised_NA = np.maximum(0.0, np.where(on_NA > 0, -1.0, 1.0) * experience.gain_A)
    return np.column_stack([shown, promised_NA.sum(axis=1), promised_NA.max(axis=1), on_NA.sum(axis=1), on_NA])


def made_features(mask: int, edits: Sequence[int], shown: float, experience: Experience) -> Floats:
    """Features of edits of a workflow (N x (A + 6)): those of the workflows that they make, with the score that is
    shown of this one, and what the edit gained elsewhere and how much is known of that."""
    edit_N = np.array(edits, dtype=np.int64)
    made = node_features([mask ^ (1 << edit) for edit in edits], [shown] * len(edits), experience)
    sign_N = np.where(bits([mask], len(experience.gain_A))[0, edit_N] > 0, -1.0, 1.0)
    return np.column_stack([sign_N * experience.gain_A[edit_N], experience.evidence_A[edit_N], made])
