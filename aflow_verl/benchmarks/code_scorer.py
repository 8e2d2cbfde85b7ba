"""What HumanEval and MBPP share: an answer is a Python program, and hidden tests decide."""

from __future__ import annotations

from aflow_verl.benchmarks.judge.judge import judge
from aflow_verl.sandbox.base import ProgramSandbox
from aflow_verl.types import Problem

EXAM = "exam"
"""Where ``Problem.data`` keeps the ``judge.exam.Exam``."""


class CodeScorer:
    """The half of a ``scorer.Scorer`` that doesn't know what rows look like."""

    answer_format = "The answer is a Python program that defines the function asked for; prose around it is ignored."
    needs_calls = True
    preload: tuple[str, ...] = ("numpy",)
    """The one package beside the standard library that answers may import, as in AFlow's environment."""

    async def grade(self, problem: Problem, answer: str, programs: ProgramSandbox) -> float:
        """1.0 where the hidden tests pass. Raises SandboxUnavailable."""
        return float((await judge(answer, problem.data[EXAM], programs)).passed)
