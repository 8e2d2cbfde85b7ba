"""Critics as transformers directories."""

from pathlib import Path

import pytest
import torch

from aflow_verl.critic.loading import load_critic
from aflow_verl.errors import UserError


def test_a_directory_gives_back_the_same_weights_ready_to_score(tiny_critic: torch.nn.Module, tmp_path: Path) -> None:
    tiny_critic.save_pretrained(tmp_path)  # type: ignore[operator]
    loaded = load_critic(tmp_path)
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    own = loaded.state_dict()
    assert set(own) == set(tiny_critic.state_dict())
    assert all(torch.equal(own[name], value) for name, value in tiny_critic.state_dict().items())
    half = load_critic(tmp_path, dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in half.parameters()} == {torch.bfloat16}


def test_a_policy_is_no_critic(tiny_policy: Path) -> None:
    with pytest.raises(UserError, match=r"its weights lack score\.\w+; name the directory of a critic") as refusal:
        load_critic(tiny_policy)
    assert str(refusal.value).startswith(str(tiny_policy))


def test_a_directory_without_a_model_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no critic that transformers can load") as refusal:
        load_critic(tmp_path)
    assert "\n" not in str(refusal.value)
