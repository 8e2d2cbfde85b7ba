"""Two workflows as chances of success on each problem, for studies of how to compare them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SOLVED_OR_NOT = (0.5, 0.5)
"""Beta distribution of a parent's chances: most problems are nearly always solved, or nearly never."""
WORSE_ON = 0.05
"""Share of problems on which a child loses what its parent could do: few edits only help."""
GOOD, BAD = (20.0, 1.0), (1.0, 20.0)
"""Beta distributions of a child's chances where its edit helps and where it harms."""

Rates = NDArray[np.float64]


def parent_and_child(problems: int, gap: float, rng: np.random.Generator) -> tuple[Rates, Rates]:
    """Chances on each problem. The child's mean is higher by ``gap`` on average over problems and draws, up to 0.3."""
    parent = rng.beta(*SOLVED_OR_NOT, problems)
    good, bad = GOOD[0] / sum(GOOD), BAD[0] / sum(BAD)
    helped = (gap + WORSE_ON * (0.5 - bad)) / (good - 0.5)
    draw = rng.random(problems)
    child = np.where(draw < helped, rng.beta(*GOOD, problems), parent)
    harmed = (draw >= helped) & (draw < helped + WORSE_ON)
    return parent, np.where(harmed, rng.beta(*BAD, problems), child)
