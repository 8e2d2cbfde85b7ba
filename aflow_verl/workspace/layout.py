"""What an AFlow workspace holds.

    {DATASET}/workflows/results.json                        a row for each validation run of a round
    {DATASET}/workflows/round_{k}/graph.py, prompt.py       the workflow
    {DATASET}/workflows/round_{k}/experience.json           which round it was made from, and how
    {DATASET}/workflows/round_{k}/log.json                  failed problems
    {DATASET}/workflows/processed_experience.json           all experience, by father round (AFlow writes it anew)
    {DATASET}/workflows/template/                           descriptions and code of the operators

Facts: the AFlow repository, ``scripts/optimizer.py`` and ``scripts/optimizer_utils``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from aflow_verl.workflow.state import WorkflowState

WORKFLOWS = "workflows"
RESULTS = "results.json"
EXPERIENCE = "experience.json"
PROCESSED = "processed_experience.json"
LOG = "log.json"
ROUND = "round_"
SEED_ROUND = 1
AFLOW_NAMES: Mapping[str, str] = MappingProxyType(
    {"gsm8k": "GSM8K", "math": "MATH", "humaneval": "HumanEval", "mbpp": "MBPP", "hotpotqa": "HotpotQA", "drop": "DROP"}
)
"""Our benchmarks -> AFlow's datasets; any other name is the same on both sides."""


@dataclass(frozen=True, slots=True)
class Run:
    """One validation run: a row of ``results.json``."""

    score: float
    """Mean over the validation problems, in [0, 1]."""
    avg_cost: float = 0.0
    """US dollars a problem."""
    total_cost: float = 0.0
    time: str = ""
    """When it ended, as AFlow wrote it."""


@dataclass(frozen=True, slots=True)
class Made:
    """How a round came to be: its ``experience.json``."""

    father: int
    """Round that was edited."""
    modification: str
    before: float
    """Mean score of the father at that time."""
    after: float | None
    """Mean score of this round; None where AFlow was stopped before it was known."""


@dataclass(frozen=True, slots=True)
class Round:
    """One round: a workflow, how it was made, how it did."""

    number: int
    state: WorkflowState
    made: Made | None
    """None for the seed."""
    runs: tuple[Run, ...] = ()
    logs: tuple[Mapping[str, Any], ...] = ()
    """Failed problems, as AFlow wrote them."""

    @property
    def score(self) -> float | None:
        """What AFlow ranks it by: the mean of its runs; None without runs."""
        return math.fsum(run.score for run in self.runs) / len(self.runs) if self.runs else None


@dataclass(frozen=True, slots=True)
class Workspace:
    """All rounds of one dataset, by number, fathers before their children; the first one is the seed."""

    dataset: str
    rounds: tuple[Round, ...]
