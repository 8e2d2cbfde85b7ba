"""PUCT: the policy's prior leads the exploration.

    exploration(c) = c_puct * P(c) * sqrt(N + O) / (1 + n_c + o_c)

Source: Silver et al., "Mastering the game of Go without human knowledge", 2017, Methods. Finite for an unvisited
candidate, 0 where nothing was visited.
"""

from __future__ import annotations

import math

from aflow_verl.search.descent import Counts, descend
from aflow_verl.search.selection import Selected, Situation


def puct(situation: Situation) -> Selected:
    """Descends from the root by PUCT; takes no random number."""
    c_puct = situation.settings.c_puct

    def exploration(counts: Counts) -> float:
        return c_puct * counts.prior * math.sqrt(counts.total) / (1 + counts.own)

    return descend(situation, exploration)
