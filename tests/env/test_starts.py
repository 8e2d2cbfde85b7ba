"""Where an episode with the start ``random`` stands: ``experience.sampling`` over the nodes of a tree."""

import math
from collections import Counter

import numpy as np
import pytest

from aflow_verl.env.starts import random_start
from aflow_verl.search.experience import ExperiencePool, ExperienceRecord
from aflow_verl.search.tree import Tree
from aflow_verl.workflow.state import WorkflowState


def _state(number: int) -> WorkflowState:
    return WorkflowState("toy", f"class Workflow:\n    number = {number}\n", "", ("Custom",))


@pytest.fixture(scope="module")
def tree() -> Tree:
    """Eight workflows, each made of the first; the k-th solves k of eight problems."""
    overlay = Tree.seed(_state(0), {f"p{i}": 0.0 for i in range(8)}).overlay()
    for k in range(1, 8):
        overlay.add_child(_state(0).hash, _state(k), f"edit {k}", {f"p{i}": float(i < k) for i in range(8)})
    return overlay.frozen()


def _starts(tree: Tree, how: str, pool: ExperiencePool | None = None, draws: int = 400) -> Counter[int]:
    number = {_state(k).hash: k for k in range(8)}
    pool = pool or ExperiencePool()
    return Counter(number[random_start(tree, pool, how, np.random.default_rng(seed))] for seed in range(draws))


def test_uniform_is_a_draw_over_the_nodes_in_their_order(tree: Tree) -> None:
    """Bit for bit the draw that there was before there were other rules."""
    nodes = [node.id for node in tree]
    for seed in range(50):
        drawn = nodes[int(np.random.default_rng(seed).integers(len(nodes)))]
        assert random_start(tree, ExperiencePool(), "uniform", np.random.default_rng(seed)) == drawn
    assert set(_starts(tree, "uniform")) == set(range(8))


def test_best_and_recent_draw_from_a_quarter(tree: Tree) -> None:
    assert set(_starts(tree, "best")) == {6, 7}
    assert set(_starts(tree, "recent")) == {6, 7}
    assert set(_starts(tree.alone(tree.root_id), "best")) == {0}, "a tree of one workflow has a quarter, too"


def test_surprising_goes_by_what_the_edits_of_a_workflow_brought(tree: Tree) -> None:
    def record(k: int, surprise: float | None) -> ExperienceRecord:
        return ExperienceRecord(_state(k).hash, None, "x", 0.5, None, 0, None, surprise=surprise)

    pool = ExperiencePool([record(2, 0.9), record(2, 0.7), record(5, 0.0), record(5, None)])
    known = {2: 0.8, 5: 0.0}  # the six others count as 0.4
    starts = _starts(tree, "surprising", pool, draws=1500)
    total = math.fsum(known.get(k, 0.4) for k in range(8))
    assert starts[2] / 1500 == pytest.approx(0.8 / total, abs=0.04)
    assert starts[3] / 1500 == pytest.approx(0.4 / total, abs=0.04)
    assert starts[5] < 15
