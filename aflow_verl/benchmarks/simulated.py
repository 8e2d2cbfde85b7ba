"""Problems for the simulated model: their answer is a function of their text, and only a simulated model knows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aflow_verl.benchmarks.answers import last_number
from aflow_verl.benchmarks.base import SPLITS, Split
from aflow_verl.models.landscape import answer_of
from aflow_verl.sandbox.base import ProgramSandbox
from aflow_verl.types import Problem


class Simulated:
    """As many problems as are asked for, numbered through the splits."""

    name = "simulated"
    task = "Name the number of each simulated problem."
    answer_format = "The answer is a number; the last number counts."
    needs_calls = False
    preload: tuple[str, ...] = ()

    def __init__(self, sizes: Mapping[Split, int], seed: int = 0) -> None:
        first = {split: 1_000_000 * k for k, split in enumerate(SPLITS)}
        self._problems = {
            split: tuple(_problem(seed, first[split] + k) for k in range(sizes[split])) for split in SPLITS
        }

    def problems(self, split: Split) -> Sequence[Problem]:
        return self._problems[split]

    async def grade(self, problem: Problem, answer: str, programs: ProgramSandbox) -> float:
        return float(last_number(answer) == problem.reference)


def _problem(seed: int, number: int) -> Problem:
    text = f"Simulated problem {seed}-{number}: what is its number?"
    return Problem(f"simulated/{seed}-{number}", text, answer_of(text))
