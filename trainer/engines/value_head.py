"""A critic that has learned nothing says nothing: a new value head starts at zero.

A value head drawn at random gives a fresh critic values of any size, which steer a search, and which it has to unlearn.
With weights and bias of zero V is 0 everywhere, and the head's gradient is that of the states below it, so that the
first update moves it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import nn
from transformers.utils import (
    SAFE_WEIGHTS_INDEX_NAME,
    SAFE_WEIGHTS_NAME,
    WEIGHTS_INDEX_NAME,
    WEIGHTS_NAME,
    cached_file,
)


class ZeroValueHeadMixin:
    """For verl's value engines: the head is zero unless the model's files hold one. A checkpoint is loaded later."""

    def _build_module(self) -> nn.Module:
        module: nn.Module = super()._build_module()  # type: ignore[misc]
        name, head = value_head(module)
        if f"{name}.weight" not in saved_names(str(self.model_config.local_path)):  # type: ignore[attr-defined]
            for parameter in head.parameters():
                nn.init.zeros_(parameter)
        return module


def value_head(module: nn.Module) -> tuple[str, nn.Linear]:
    """Name and layer of the only linear map to one number.

    Raises:
        RuntimeError: there is none, or several.
    """
    found = [(name, layer) for name, layer in module.named_modules() if isinstance(layer, nn.Linear)]
    heads = [(name, layer) for name, layer in found if layer.out_features == 1]
    if len(heads) != 1:
        raise RuntimeError(f"a critic has one layer with one output, {type(module).__name__} has {len(heads)}")
    return heads[0]


def saved_names(path: str) -> frozenset[str]:
    """Names of the tensors in a model's files; ``path``: a directory, or a name on the model hub."""
    for index in (SAFE_WEIGHTS_INDEX_NAME, WEIGHTS_INDEX_NAME):
        if file := _file(path, index):
            return frozenset(json.loads(file.read_text())["weight_map"])
    if file := _file(path, SAFE_WEIGHTS_NAME):
        with safe_open(file, framework="pt") as tensors:
            return frozenset(tensors.keys())
    if file := _file(path, WEIGHTS_NAME):
        tensors_of: dict[str, Any] = torch.load(file, map_location="meta", weights_only=True)
        return frozenset(tensors_of)
    raise RuntimeError(f"{path}: no file of weights that transformers knows")


def _file(path: str, name: str) -> Path | None:
    found = cached_file(path, name, _raise_exceptions_for_missing_entries=False)
    return None if found is None else Path(found)
