"""The values that travel round the loop: problems, model calls, grades, evaluations.

Everything here is a frozen dataclass without behaviour beyond arithmetic on its own fields, so that any layer may
import it. Scores are in [0, 1] unless a docstring says otherwise; costs are US dollars; times are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypedDict

from aflow_verl.statistics import Interval, mean_interval


class Message(TypedDict):
    """One chat message: ``role`` is ``system``, ``user`` or ``assistant``."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How a model reply is drawn. The same params, messages and model give the same cached reply."""

    temperature: float = 0.0
    """0 is greedy decoding."""
    max_tokens: int = 256
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    sample_index: int = 0
    """The how-manieth draw of this very call; distinguishes samples in the cache and seeds them."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What one call consumed."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = 0.0
    """None where the model's price is unknown."""
    cache_read_tokens: int = 0
    """Prompt tokens that the provider had cached; part of ``prompt_tokens``."""
    cache_write_tokens: int = 0
    """Prompt tokens that the provider cached; part of ``prompt_tokens``."""


@dataclass(frozen=True, slots=True)
class Completion:
    """One model reply."""

    text: str
    usage: Usage = Usage()
    cached: bool = False
    finish_reason: str = "stop"
    """``stop`` or ``length``."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem of a benchmark. ``id`` is unique across benchmarks and splits and stable across runs."""

    id: str
    prompt: str
    reference: str
    """What the scorer compares with; never shown to a workflow."""
    entry_point: str | None = None
    """Name of the function to write, for code tasks only."""
    public_tests: tuple[str, ...] = ()
    """Code tasks: Python statements that assert the examples which the prompt itself shows; all that the operator Test
    may run. Never one of the tests that score the problem."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """Whatever else the benchmark's scorer needs; never shown to a workflow."""


@dataclass(frozen=True, slots=True)
class Grade:
    """One workflow's result on one problem."""

    problem_id: str
    score: float
    answer: str = ""
    error: str | None = None
    """Why the workflow failed by its own fault, readable; None if it returned an answer."""
    calls: int = 0
    """Executor calls that the workflow made for it, cached ones included."""
    cost_usd: float = 0.0


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One workflow on problems, in the order asked for."""

    grades: tuple[Grade, ...]
    missing: tuple[str, ...] = ()
    """Problems that could not be graded because the infrastructure failed; they count neither as right nor wrong."""
    reason: str | None = None
    """What failed for the first of them."""

    @property
    def complete(self) -> bool:
        return not self.missing

    @property
    def calls(self) -> int:
        """Executor calls, cached ones included."""
        return sum(g.calls for g in self.grades)

    @property
    def cost_usd(self) -> float:
        return sum(g.cost_usd for g in self.grades)

    def interval(self, confidence: float = 0.95) -> Interval:
        """Of the mean score; [0, 1] for no problems."""
        return mean_interval([g.score for g in self.grades], confidence)

    @property
    def n(self) -> int:
        return len(self.grades)

    @property
    def mean(self) -> float:
        """Mean score; 0.0 for no problems."""
        return sum(g.score for g in self.grades) / len(self.grades) if self.grades else 0.0

    @property
    def failed_everywhere(self) -> bool:
        """True if the workflow failed by its own fault on every problem (EPISODE: an invalid action)."""
        return bool(self.grades) and all(g.error is not None for g in self.grades)


@dataclass(frozen=True, slots=True)
class OperatorInfo:
    """What the policy is shown of an operator."""

    name: str
    description: str
    interface: str


SEARCH_ACTOR = "aflow_search"
"""Ray name of the actor that owns a run's trees, store and evaluations; the one meeting point of trainer and env."""

Q_ACTOR = "aflow_q"
"""Ray name of the actor that holds a copy of the critic, with ``search.q_source: server``."""
