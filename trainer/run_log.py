"""``metrics.jsonl``: one line a training step, all of verl's metrics and ours.

Strict JSON: what is not finite is ``null``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aflow_verl.jsonl import JsonLines

FILE_NAME = "metrics.jsonl"


class MetricsFile:
    """A logger of verl's kind (``log(data, step)``) that appends durable lines ``{"step": k, name: value, ...}``."""

    def __init__(self, path: Path, *, resume_step: int) -> None:
        """Lines of steps after ``resume_step`` are dropped: they will be trained again."""
        self._lines = JsonLines(path)
        self._lines.keep(lambda line: line["step"] <= resume_step)

    def log(self, data: Mapping[str, Any], step: int) -> None:
        self._lines.append([{"step": step, **{name: _plain(value) for name, value in data.items()}}])

    def finish(self) -> None:
        """Every line is on disk already."""


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic) or (isinstance(value, torch.Tensor) and value.numel() == 1):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, int | float | str | bool | type(None)) else str(value)
