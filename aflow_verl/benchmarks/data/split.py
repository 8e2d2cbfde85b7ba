"""A validation and a test split, 1 to 4, from one pool of rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")

SEED = 42
"""AFlow's; which rows its own shuffle picked is not recoverable, so the splits differ in their rows."""


def split_rows(rows: Sequence[T], validation: int, test: int, seed: int = SEED) -> tuple[list[T], list[T]]:
    """``validation`` and ``test`` rows drawn without replacement, each in the order of the pool.

    Of a pool smaller than that, a fifth (rounded) validates and the rest tests; at least one row each where there are
    two or more.
    """
    if len(rows) < validation + test:
        validation = max(round(len(rows) / 5), min(1, len(rows) - 1))
        test = len(rows) - validation
    order = np.random.default_rng(seed).permutation(len(rows))
    chosen, others = sorted(order[:validation]), sorted(order[validation : validation + test])
    return [rows[i] for i in chosen], [rows[i] for i in others]
