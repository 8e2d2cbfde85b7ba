"""What a merged step tells the trainer of its rows: what each edit turned out to be worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

RowKey = tuple[str, int, int]
"""(uid, session, t) of a training row."""


@dataclass(frozen=True, slots=True)
class RowTarget:
    """One training row, judged by all that the shared tree knows once the step is merged."""

    step_return: float
    """R_t in units of the score, for GiGPO; a penalty is part of it."""
    q: float
    """The critic's target after the reply: what this edit can reach, less the centre."""
    v: float
    """The critic's target before the reply: what editing this workflow can reach, less the centre."""
    invalid: bool
    """The reply was no edit that could be tried."""
    neutral: bool
    """No edit was wanted."""


@dataclass(frozen=True, slots=True)
class MergedStep:
    """A step whose episodes are part of the shared trees."""

    metrics: Mapping[str, float]
    targets: Mapping[RowKey, RowTarget]
