"""A critic as a transformers module: a token-classification model with one label, whose logits are values."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForTokenClassification, PretrainedConfig

from aflow_verl.errors import UserError


def load_critic(directory: Path, *, device: str = "cpu", dtype: torch.dtype = torch.float32) -> torch.nn.Module:
    """The critic of a transformers directory (config and weights), ready to score.

    Raises:
        UserError: the directory holds no model, or one without a value head, such as a policy.
    """
    try:
        config = AutoConfig.from_pretrained(directory)
        module, found = AutoModelForTokenClassification.from_pretrained(
            directory, config=as_critic(config), dtype=dtype, attn_implementation="sdpa", output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError) as failure:
        reason = (str(failure).strip().splitlines() or [type(failure).__name__])[0]
        raise UserError(f"{directory}: holds no critic that transformers can load: {reason[:200]}") from failure
    if lacking := sorted(found["missing_keys"]):
        raise UserError(f"{directory}: its weights lack {lacking[0]}; name the directory of a critic, not of a policy")
    return _ready(module, device)


def new_critic(config: PretrainedConfig, *, device: str = "cpu", dtype: torch.dtype = torch.float32) -> torch.nn.Module:
    """The architecture alone, with random weights; the critic's own come later."""
    module = AutoModelForTokenClassification.from_config(as_critic(config), dtype=dtype, attn_implementation="sdpa")
    return _ready(module, device)


def as_critic(config: PretrainedConfig) -> PretrainedConfig:
    """The same architecture with one value a token; changes the config that it is given."""
    config.num_labels = 1
    config.classifier_dropout = 0.0
    return config


def _ready(module: torch.nn.Module, device: str) -> torch.nn.Module:
    return module.to(device).eval().requires_grad_(False)
