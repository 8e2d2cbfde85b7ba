"""The same values, however requests are cut into forwards."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aflow_verl.critic.scorer import CriticScorer, Scores, batches, merged
from aflow_verl.critic.shared_prompt import SharedPromptGroup
from aflow_verl.search.qvalues import ScoreGroup


def _value(module: torch.nn.Module, ids: tuple[int, ...], position: int) -> float:
    with torch.no_grad():
        return float(module(input_ids=torch.tensor([ids])).logits[0, position, 0])


GROUPS = [
    ScoreGroup(tuple(range(11, 51)), "long", (("a", (60, 2)), ("b", (61, 62, 63, 2)), ("c", (64, 2)))),
    ScoreGroup((31, 32), "short"),
    ScoreGroup((31, 32), "twin", (("d", (65, 2)),)),
    ScoreGroup((51, 52, 53, 54), None, (("e", (2,)),)),
]


@pytest.mark.parametrize(("max_rows", "max_tokens"), [(16, 16_384), (2, 16_384), (16, 50), (1, 1)])
def test_values_are_those_of_single_sequences_whatever_the_batches(
    tiny_critic: torch.nn.Module, max_rows: int, max_tokens: int
) -> None:
    scorer = CriticScorer(tiny_critic, weights_step=5, max_rows=max_rows, max_tokens=max_tokens)
    scores = scorer.score(GROUPS)
    assert scores.weights_step == 5
    assert list(scores.v) == ["long", "short", "twin"]
    assert list(scores.q) == ["a", "b", "c", "d", "e"]
    for group in GROUPS:
        if group.node_id is not None:
            assert scores.v[group.node_id] == pytest.approx(_value(tiny_critic, group.prompt_ids, -1), abs=1e-5)
        for child_id, ids in group.actions:
            assert scores.q[child_id] == pytest.approx(_value(tiny_critic, group.prompt_ids + ids, -2), abs=1e-5)
    assert scores.v["short"] == scores.v["twin"], "equal prompts are read once"


def test_v_goes_by_node_and_q_by_action(tiny_critic: torch.nn.Module) -> None:
    scorer = CriticScorer(tiny_critic, weights_step=7)
    edit = ScoreGroup((11, 12), None, (("new", (60, 2)),))
    node = ScoreGroup((13,), "new")
    assert Scores.of(7, [edit, node], [(0.1, (0.2,)), (0.3, ())]) == Scores(7, {"new": 0.3}, {"new": 0.2})
    assert scorer.score([]) == Scores(7, {}, {})


def test_equal_prompts_are_merged_with_their_different_actions() -> None:
    groups = [
        ScoreGroup((1,), "a", (("x", (8, 2)),)),
        ScoreGroup((2,), "b"),
        ScoreGroup((1,), "c", (("y", (9, 2)), ("z", (8, 2)))),
    ]
    assert merged(groups) == [SharedPromptGroup((1,), ((8, 2), (9, 2))), SharedPromptGroup((2,))]


ids = st.lists(st.integers(0, 9), min_size=1, max_size=12).map(tuple)


@settings(max_examples=50)
@given(
    st.dictionaries(ids, st.lists(ids, max_size=7, unique=True), max_size=8),
    st.integers(1, 6),
    st.integers(1, 60),
)
def test_batches_hold_everything_once_and_keep_the_limits(
    asked: dict[tuple[int, ...], list[tuple[int, ...]]], max_rows: int, max_tokens: int
) -> None:
    made = list(batches([SharedPromptGroup(p, tuple(a)) for p, a in asked.items()], max_rows, max_tokens))
    read: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
    for batch in made:
        rows = max(len(batch), sum(len(group.action_ids) for group in batch))
        prompt = max(len(group.prompt_ids) for group in batch)
        reply = max((len(a) for group in batch for a in group.action_ids), default=0)
        assert rows <= max_rows
        assert rows * (prompt + reply) <= max_tokens or rows == 1
        for group in batch:
            read.setdefault(group.prompt_ids, []).extend(group.action_ids)
    assert {prompt: sorted(actions) for prompt, actions in read.items()} == {p: sorted(a) for p, a in asked.items()}
