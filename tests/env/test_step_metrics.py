"""The search's metrics of a step, by hand."""

from types import SimpleNamespace
from typing import Any

import pytest

from aflow_verl.env.step_metrics import search_metrics
from aflow_verl.search.tree import Tree
from aflow_verl.workflow.state import WorkflowState


def _choice(node: str, without: str, alpha: float, own: int = 1, candidates: int = 2) -> dict[str, Any]:
    return {
        "node": node,
        "node_without_q": without,
        "alpha_effective": alpha,
        "own_q": own,
        "candidates": candidates,
    }


def _episode(invalid: tuple[str | None, ...], choices: list[dict[str, Any]], gain: float) -> Any:
    return SimpleNamespace(invalid=invalid, choices=choices, episode_return=gain, truncated_prompts=1)


def test_metrics_by_hand() -> None:
    tree = Tree.seed(WorkflowState("toy", "class Workflow:\n    pass\n", "", ()))
    rows = [_choice("a", "a", 0.2), _choice("a", "b", 0.4, own=2), _choice("b", "b", 0.0, own=0)]
    episodes = [
        _episode((None, "editor_syntax"), [_choice("c", "c", 0.2), _choice("c", "d", 0.2)], 0.1),
        _episode(("no_fields",), [_choice("c", "c", 0.2)], 0.0),
    ]
    metrics = search_metrics(episodes, {"one": tree, "two": tree}, 1, rows)
    assert metrics == {
        "search/tree_size": 2.0,
        "search/new_workflows": 1.0,
        "search/valid_action_rate": pytest.approx(1 / 3),
        "search/editor_failures": 1.0,
        "search/q_coverage": pytest.approx(3 / 6),
        "search/q_changed_choice": pytest.approx(2 / 6),
        "search/alpha_effective": pytest.approx(1.2 / 6),
        "search/largest_share": pytest.approx(2 / 3),
        "env/truncated_prompts": 2.0,
        "search/episode_return": pytest.approx(0.05),
    }


def test_nothing_to_share_out_is_zero() -> None:
    metrics = search_metrics([], {}, 0, [])
    assert set(metrics.values()) == {0.0}
