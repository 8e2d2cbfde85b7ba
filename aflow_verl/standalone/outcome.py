"""What a search tells while it runs, and what it found at its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from aflow_verl.standalone.history import RoundEntry
from aflow_verl.statistics import Interval


@dataclass(frozen=True)
class Standing:
    """A search after a round."""

    entry: RoundEntry
    done: int
    best: Interval
    """Of the best workflow's mean on the validation problems."""
    usd: float
    calls: int
    """That models answered, the editor's included."""


@dataclass(frozen=True)
class Outcome:
    """A search that has ended. ``report`` is what ``evaluation.best_workflow.compare_on_heldout`` found; None where the
    budget did not reach so far."""

    reason: str
    """``rounds``, ``converged``, ``exhausted`` or ``budget``."""
    rounds: int
    seed: Interval
    best: Interval
    """Both on the validation problems."""
    report: dict[str, Any] | None
    best_is_seed: bool
    verdict: str
    """Whether a workflow beat the seed, and by how much, in one line."""
    totals: dict[str, float]
    """As ``env.usage.RunUsage.totals``."""
    editor: str = ""
    """Whose policy made the edits; empty for any other editor."""


class Watch(Protocol):
    """Who is told how it goes."""

    def phase(self, name: str) -> None: ...

    def round(self, standing: Standing) -> None: ...
