"""UCT: visits alone lead the exploration.

    exploration(c) = c_ucb * sqrt(ln(1 + N + O) / max(n_c + o_c, first_play))

Source: Kocsis and Szepesvari, "Bandit based Monte-Carlo planning", 2006. Departures: 1 + N under the logarithm, so that
an unvisited tree has exploration 0 and not minus infinity; and ``first_play`` pseudo-visits for an unvisited candidate
in place of an infinite term, so that Q can speak up against it.
"""

from __future__ import annotations

import math

import numpy as np

from aflow_verl.search.columns import Floats
from aflow_verl.search.descent import Counts, descend, fused
from aflow_verl.search.selection import Selected, Situation


def ucb(situation: Situation) -> Selected:
    """Descends from the root by UCT; takes no random number."""
    c_ucb, first_play = situation.settings.c_ucb, situation.settings.first_play

    def exploration(counts: Counts) -> Floats:
        return c_ucb * np.sqrt(math.log1p(counts.total) / np.maximum(counts.own_K, first_play))

    return descend(situation, fused(situation, exploration))
