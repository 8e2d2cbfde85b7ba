"""Every random choice of a run, derived from the recipe's seed and the place where it is made."""

from __future__ import annotations

import hashlib

import numpy as np


def derive_seed(*parts: int | str) -> int:
    """A 63-bit seed from (recipe seed, step, dataset index, session, t, ...); the same in every process."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(*parts: int | str) -> np.random.Generator:
    """A numpy generator seeded by ``derive_seed``."""
    return np.random.default_rng(derive_seed(*parts))
