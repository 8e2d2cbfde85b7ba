"""What every benchmark offers: problems in three disjoint splits, and a grade for an answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from aflow_verl.sandbox.base import ProgramSandbox
from aflow_verl.types import Problem

Split = Literal["train", "validation", "heldout"]
SPLITS: tuple[Split, ...] = ("train", "validation", "heldout")
"""Rewards come from training problems, the best workflow is chosen on validation problems, held-out problems are
graded once, at the end."""


class Benchmark(Protocol):
    """A source of problems. Equal settings give equal problems, in equal order, on every machine."""

    name: str
    task: str
    """One line shown to the policy."""
    answer_format: str
    """What an answer must look like to be read; shown to the policy."""

    needs_calls: bool
    """Whether grading needs a program sandbox with ``supports_calls``."""
    preload: tuple[str, ...]
    """Modules that the program sandbox imports before grading; only the ``process`` backend can."""

    def problems(self, split: Split) -> Sequence[Problem]:
        """The problems of a split, in a fixed order."""
        ...

    async def grade(self, problem: Problem, answer: str, programs: ProgramSandbox) -> float:
        """Score of an answer, in [0, 1]; never raises for an answer, however odd.

        ``programs``: where whatever has to be executed for it runs. Raises SandboxUnavailable where that fails. Grading
        that takes more than a few milliseconds of computing goes to a thread or to the sandbox.
        """
        ...
