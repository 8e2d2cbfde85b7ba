"""Candidates that competed, with the numbers that decided: what selectors hand over and logs show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from aflow_verl.search.columns import Bools, Floats


@dataclass(frozen=True, slots=True)
class Part:
    """One candidate of one comparison."""

    at: str
    """The node at which it competed: itself for "edit here", the root for a flat selector."""
    node: str
    edit_here: bool
    x: float
    """Its mean score."""
    n: int
    """Visits; for "edit here" the edits of the node itself."""
    in_flight: int
    prior: float
    v: float | None
    q: float | None
    """Q as the fused score used it; None without a value."""
    inherited: bool
    reach: float
    exploration: float
    alpha: float
    """Weight of the critic that was applied to it."""
    score: float

    def to_json(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self)}


@dataclass(frozen=True, slots=True)
class Comparison:
    """K candidates at one node; the fields of ``Part`` as rows."""

    at: str
    ids: tuple[str, ...]
    here_K: Bools
    """Which of them mean "edit here"."""
    x_K: Floats
    n_K: Floats
    in_flight_K: Floats
    prior_K: Floats
    v_K: Floats
    """NaN without a value."""
    q_K: Floats
    inherited_K: Bools
    reach_K: Floats
    exploration_K: Floats
    alpha_K: Floats
    score_K: Floats

    def __len__(self) -> int:
        return len(self.ids)

    def winner(self) -> int:
        """Place of the best score; of equals that with fewer visits, then the smaller id."""
        first = int(self.score_K.argmax())
        equals = self.score_K == self.score_K[first]
        if np.count_nonzero(equals) == 1:
            return first
        n_K = self.n_K + self.in_flight_K
        return int(min(np.flatnonzero(equals).tolist(), key=lambda k: (n_K[k], self.ids[k])))

    def parts(self) -> Iterator[Part]:
        """Candidate by candidate, for people and logs."""
        for k, node_id in enumerate(self.ids):
            known = not np.isnan(self.v_K[k])
            yield Part(
                at=self.at,
                node=node_id,
                edit_here=bool(self.here_K[k]),
                x=float(self.x_K[k]),
                n=int(self.n_K[k]),
                in_flight=int(self.in_flight_K[k]),
                prior=float(self.prior_K[k]),
                v=float(self.v_K[k]) if known else None,
                q=float(self.q_K[k]) if known else None,
                inherited=bool(self.inherited_K[k]),
                reach=float(self.reach_K[k]),
                exploration=float(self.exploration_K[k]),
                alpha=float(self.alpha_K[k]),
                score=float(self.score_K[k]),
            )
