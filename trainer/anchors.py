"""Similar anchors: steps taken in nearly equal states share a step group (an option; by default states must be equal).

    similarity = 0.5 Jaccard(operators) + 0.3 [same parent] + 0.2 (1 - |score difference|)      by workflow features
    similarity = Jaccard(character n-grams)                                                     by text

Two anchors of one episode group belong together if a chain of pairs with ``similarity >= threshold`` joins them.
Unlike a greedy pass, this depends on no order of rows; the price is that the ends of a chain may differ by more than
the threshold allows. Step groups then mix states, which biases A^S: prefer equal anchors where groups are large enough.

Dimension letters: B rows, N anchors of one group.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy.sparse.csgraph import connected_components

Feature = TypeVar("Feature")

ROUNDING = 1e-9
"""Slack on the threshold, so that a similarity of exactly 0.8 is not lost to binary fractions."""


@dataclass(frozen=True, slots=True)
class WorkflowFeatures:
    """What two workflows are compared by."""

    operators: frozenset[str]
    """Names of the operators that the workflow calls."""
    parent: str | None
    """Hash of the workflow it was made from; None for a root, which shares its parent with nobody."""
    score: float
    """Mean score in [0, 1]."""


def workflow_similarity(features_N: Sequence[WorkflowFeatures]) -> np.ndarray:
    """Similarity in [0, 1] of each pair (N x N). Two workflows without operators have a Jaccard index of 1."""
    score_N = np.array([f.score for f in features_N], dtype=np.float64)
    if not np.all((score_N >= 0.0) & (score_N <= 1.0)):
        raise ValueError("score: expected numbers from 0 to 1")
    parent_N = [f.parent for f in features_N]
    same_parent = np.array([[a is not None and a == b for b in parent_N] for a in parent_N], dtype=np.float64)
    closeness = 1.0 - np.abs(score_N[:, None] - score_N[None, :])
    return 0.5 * _jaccard([f.operators for f in features_N]) + 0.3 * same_parent + 0.2 * closeness


def text_similarity(text_N: Sequence[str], n: int = 3) -> np.ndarray:
    """Jaccard index of the sets of character n-grams of each pair (N x N); a shorter text is its only n-gram."""
    if n < 1:
        raise ValueError(f"n: expected at least 1, got {n}")
    grams_N = [frozenset(text[i : i + n] for i in range(max(len(text) - n + 1, 1))) for text in text_N]
    return _jaccard(grams_N)


def merge_similar_anchors(
    anchor_B: np.ndarray | Sequence[int],
    group_B: np.ndarray | Sequence[int],
    features: Mapping[int, Feature],
    similarity: Callable[[Sequence[Feature]], np.ndarray],
    *,
    threshold: float = 0.8,
) -> np.ndarray:
    """The anchor of each row (B) after merging, to be handed to ``gigpo`` as ``anchor_B``.

    A merged anchor is the smallest id of its members within the group. ``features`` holds an entry for every anchor
    id; ``similarity`` maps N of them to an N x N matrix. Raises ValueError for lengths that differ, KeyError for an
    anchor without features. Time and memory: O(N^2) for each group.
    """
    anchors, groups = np.asarray(anchor_B, dtype=np.int64), np.asarray(group_B, dtype=np.int64)
    if anchors.shape != groups.shape or anchors.ndim != 1:
        raise ValueError(f"anchor_B and group_B: shapes {anchors.shape} and {groups.shape} differ or are not 1-D")
    merged_B = anchors.copy()
    for group in np.unique(groups):
        rows = groups == group
        anchor_N, index = np.unique(anchors[rows], return_inverse=True)
        joined = similarity([features[int(a)] for a in anchor_N]) >= threshold - ROUNDING
        _, component_N = connected_components(joined, directed=False)
        _, smallest_index = np.unique(component_N, return_index=True)  # anchor_N is sorted, so first is smallest
        merged_B[rows] = anchor_N[smallest_index[component_N]][index]
    return merged_B


def _jaccard(sets_N: Sequence[frozenset[str]]) -> np.ndarray:
    """|A and B| / |A or B| of each pair (N x N); 1 for two empty sets."""
    column = {member: i for i, member in enumerate(sorted(frozenset[str]().union(*sets_N)))}
    member_NM = np.zeros((len(sets_N), len(column)))
    for row, members in enumerate(sets_N):
        member_NM[row, [column[m] for m in members]] = 1.0
    both = member_NM @ member_NM.T
    size_N = member_NM.sum(axis=1)
    either = size_N[:, None] + size_N[None, :] - both
    return np.where(either > 0.0, both / np.maximum(either, 1.0), 1.0)
