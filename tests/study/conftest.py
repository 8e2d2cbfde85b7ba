"""Small searches with made-up scores."""

from __future__ import annotations

import numpy as np
import pytest

from aflow_verl.study.recorded import RecordedTree


@pytest.fixture
def tree() -> RecordedTree:
    """16 workflows, 60 problems, two runs: one workflow is far ahead, one crashed; a third of the problems separate."""
    rng = np.random.default_rng(0)
    chance_P = np.where(np.arange(60) < 20, 0.4, 0.98)
    skill_N = np.array([0.0] * 14 + [0.5, -1.0])
    chance_NP = np.clip(chance_P + skill_N[:, None], 0.0, 1.0)
    scores = (rng.random((16, 2, 60)) < chance_NP[:, None, :]).astype(float)
    return RecordedTree("made up", scores, (None, *([0] * 15)))
