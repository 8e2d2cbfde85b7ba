"""Values read with a shared prompt are those of one forward over each whole sequence."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from aflow_verl.critic.shared_prompt import SharedPromptGroup, prompt_values, score_groups


def _values(module: torch.nn.Module, ids: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return module(input_ids=torch.tensor([ids])).logits[0, :, 0]


@pytest.fixture
def critic(make_critic: Callable[[], Any]) -> torch.nn.Module:
    module: torch.nn.Module = make_critic().module
    return module.eval()


def test_v_and_q_match_single_sequences(critic: torch.nn.Module) -> None:
    groups = [
        SharedPromptGroup((11, 12, 13, 14), ((20, 2), (21, 22, 23, 2))),
        SharedPromptGroup((31, 32), ((40, 41, 2), (2,))),
        SharedPromptGroup((51, 52, 53, 54, 55, 56, 57)),
    ]
    with torch.no_grad():
        scores = score_groups(critic, groups, device="cpu")
    for group, (v, q_A) in zip(groups, scores, strict=True):
        prompt = list(group.prompt_ids)
        assert v == pytest.approx(float(_values(critic, prompt)[-1]), abs=1e-4)
        assert len(q_A) == len(group.action_ids)
        for ids, q in zip(group.action_ids, q_A, strict=True):
            whole = prompt + list(ids)
            assert q == pytest.approx(float(_values(critic, whole)[len(whole) - 2]), abs=1e-4)
    assert len({round(v, 6) for v, _ in scores}) == 3
    with torch.no_grad():
        alone = prompt_values(critic, [group.prompt_ids for group in groups], device="cpu")
    assert alone == pytest.approx([v for v, _ in scores], abs=1e-5)


def test_groups_without_actions(critic: torch.nn.Module) -> None:
    with torch.no_grad():
        scores = score_groups(critic, [SharedPromptGroup((11, 12)), SharedPromptGroup((13,))], device="cpu")
    assert [q for _, q in scores] == [[], []]
    assert scores[1][0] == pytest.approx(float(_values(critic, [13])[-1]), abs=1e-4)
