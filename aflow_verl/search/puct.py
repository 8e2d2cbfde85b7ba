"""PUCT: the policy's prior leads the exploration.

    exploration(c) = c_puct * P(c) * sqrt(N + O) / (1 + n_c + o_c)

Source: Silver et al., "Mastering the game of Go without human knowledge", 2017, Methods. Finite for an unvisited
candidate, 0 where nothing was visited.
"""

from __future__ import annotations

import math

from aflow_verl.search.columns import Floats
from aflow_verl.search.descent import Counts, descend, fused
from aflow_verl.search.selection import Selected, Situation


def puct(situation: Situation) -> Selected:
    """Descends from the root by PUCT; takes no random number."""
    c_puct = situation.settings.c_puct

    def exploration(counts: Counts) -> Floats:
        return c_puct * counts.prior_K * math.sqrt(counts.total) / (1.0 + counts.own_K)

    return descend(situation, fused(situation, exploration))
