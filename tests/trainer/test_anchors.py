"""Merging of similar anchors, on similarities that can be checked with a pencil."""

from itertools import permutations

import numpy as np
import pytest

from trainer.anchors import WorkflowFeatures, merge_similar_anchors, text_similarity, workflow_similarity

FOUR = frozenset({"Custom", "ScEnsemble", "Programmer", "Test"})
THREE = frozenset({"Custom", "ScEnsemble", "Programmer"})


def test_workflow_similarity_sums_its_three_parts() -> None:
    workflows = [
        WorkflowFeatures(FOUR, "p", 0.5),
        WorkflowFeatures(THREE, "p", 0.25),
        WorkflowFeatures(THREE, "q", 0.5),
    ]
    # 0-1: 0.5 * 3/4 + 0.3 + 0.2 * 0.75 = 0.825;  0-2: 0.375 + 0 + 0.2 = 0.575;  1-2: 0.5 + 0 + 0.15 = 0.65
    expected = np.array([[1.0, 0.825, 0.575], [0.825, 1.0, 0.65], [0.575, 0.65, 1.0]])
    assert workflow_similarity(workflows) == pytest.approx(expected)


def test_roots_share_their_parent_with_nobody() -> None:
    root = WorkflowFeatures(THREE, None, 0.5)
    assert workflow_similarity([root, root])[0, 1] == pytest.approx(0.7)


def test_two_workflows_without_operators_use_the_same_ones() -> None:
    bare = WorkflowFeatures(frozenset(), "p", 1.0)
    assert workflow_similarity([bare, WorkflowFeatures(FOUR, "p", 1.0)])[0].tolist() == pytest.approx([1.0, 0.5])


@pytest.mark.parametrize("score", [-0.1, 1.1, float("nan")])
def test_scores_are_from_0_to_1(score: float) -> None:
    with pytest.raises(ValueError, match="score"):
        workflow_similarity([WorkflowFeatures(FOUR, None, score)])


def test_text_similarity_is_the_jaccard_index_of_ngrams() -> None:
    # abcd: {abc, bcd}; abce: {abc, bce}; one of three is common. "ab" is shorter than 3: its only gram is itself.
    similarity = text_similarity(["abcd", "abce", "ab", "abcd"])
    assert similarity[0].tolist() == pytest.approx([1.0, 1 / 3, 0.0, 1.0])
    assert text_similarity(["aab", "aba"], n=2)[0, 1] == pytest.approx(1 / 3)  # {aa, ab}, {ab, ba}
    with pytest.raises(ValueError, match="n: expected at least 1"):
        text_similarity(["a"], n=0)


def test_threshold_is_reached_at_exactly_08() -> None:
    # Same operators, same parent, scores 0 and 1: 0.5 + 0.3 + 0.
    features = {1: WorkflowFeatures(FOUR, "p", 0.0), 2: WorkflowFeatures(FOUR, "p", 1.0)}
    assert merge_similar_anchors([2, 1], [0, 0], features, workflow_similarity).tolist() == [1, 1]
    above = merge_similar_anchors([2, 1], [0, 0], features, workflow_similarity, threshold=0.81)
    assert above.tolist() == [2, 1]


def test_a_chain_merges_whatever_the_order_of_rows() -> None:
    # 5 ~ 9 and 9 ~ 7 (scores 0.5 apart: 0.9), 5 !~ 7 (1.0 apart: 0.8 < 0.85): all become 5. 3 has other operators.
    other = frozenset({"Custom"})
    features = {
        5: WorkflowFeatures(FOUR, "p", 0.0),
        9: WorkflowFeatures(FOUR, "p", 0.5),
        7: WorkflowFeatures(FOUR, "p", 1.0),
        3: WorkflowFeatures(other, "p", 0.5),
    }
    for order in permutations([5, 9, 7, 3, 9]):
        merged = merge_similar_anchors(order, [0] * 5, features, workflow_similarity, threshold=0.85)
        assert merged.tolist() == [3 if anchor == 3 else 5 for anchor in order]


def test_groups_are_merged_apart() -> None:
    texts = {1: "solve it step by step", 2: "solve it step by step"}
    assert merge_similar_anchors([1, 2, 2], [0, 0, 1], texts, text_similarity).tolist() == [1, 1, 2]


def test_no_rows() -> None:
    assert merge_similar_anchors([], [], {}, text_similarity).tolist() == []


def test_contradictions_are_refused() -> None:
    with pytest.raises(ValueError, match="differ"):
        merge_similar_anchors([1, 2], [0], {}, text_similarity)
    with pytest.raises(KeyError):
        merge_similar_anchors([1], [0], {}, text_similarity)
