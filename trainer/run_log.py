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
STEP_METRICS = "metrics.json"
"""In a checkpoint: what was known of its step when it was saved."""


class MetricsFile:
    """A logger of verl's kind (``log(data, step)``) that appends durable lines ``{"step": k, name: value, ...}``."""

    def __init__(self, path: Path, *, resume_step: int) -> None:
        """Lines of steps after ``resume_step`` are dropped: they will be trained again."""
        self._lines = JsonLines(path)
        self._lines.keep(lambda line: line["step"] <= resume_step)

    def restore(self, step: int, path: Path) -> None:
        """Add the line of ``step`` from the copy in its checkpoint, where a kill came before it was logged."""
        if path.exists() and all(line["step"] != step for line in self._lines.read()):
            self._lines.append(JsonLines(path).read())

    def read(self) -> list[dict[str, Any]]:
        """The lines so far."""
        return self._lines.read()

    def log(self, data: Mapping[str, Any], step: int) -> None:
        self._lines.append([plain_line(data, step)])

    def finish(self) -> None:
        """Every line is on disk already."""


def write_metrics(path: Path, step: int, data: Mapping[str, Any]) -> None:
    """One step's line as a file of its own."""
    path.unlink(missing_ok=True)
    JsonLines(path).append([plain_line(data, step)])


def plain_line(data: Mapping[str, Any], step: int) -> dict[str, Any]:
    """What ``metrics.jsonl`` says of a step."""
    return {"step": step, **{name: _plain(value) for name, value in data.items()}}


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic) or (isinstance(value, torch.Tensor) and value.numel() == 1):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, int | float | str | bool | type(None)) else str(value)
