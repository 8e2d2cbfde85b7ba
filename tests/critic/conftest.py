"""A tiny critic whose head tells positions apart."""

from pathlib import Path

import pytest
import torch
from transformers import AutoConfig

from aflow_verl.critic.loading import new_critic


@pytest.fixture(scope="session")
def tiny_critic(tiny_policy: Path) -> torch.nn.Module:
    torch.manual_seed(4)
    return new_critic(AutoConfig.from_pretrained(tiny_policy))
