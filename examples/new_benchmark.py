"""A new benchmark: rows, prompt and score, and a workflow evaluated on it. Offline, in a second or two.

    python examples/new_benchmark.py

A benchmark with data is a ``Scorer``: what a row means and how an answer is graded; ``FileBenchmark`` draws its splits.
In the package it would be the file ``aflow_verl/benchmarks/nearly.py`` and one line of ``SCORERS`` in
``aflow_verl/benchmarks/catalog.py``. Answers here come from the simulated model, which knows the number of each
"simulated problem" and is right about half of the time.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aflow_verl.benchmarks.answers import last_number
from aflow_verl.benchmarks.file_benchmark import FileBenchmark
from aflow_verl.benchmarks.scorer import RowError, problem_id, text_field
from aflow_verl.benchmarks.sources import find_source
from aflow_verl.config import ModelConfig, SandboxConfig
from aflow_verl.evaluation.evaluate import EvaluationBudget, evaluate
from aflow_verl.models.landscape import answer_of
from aflow_verl.sandbox.base import ProgramSandbox
from aflow_verl.types import Problem
from aflow_verl.workflow.state import SEED_CODE, WorkflowState


class Nearly:
    """A number is worth 1, one within 10 % of it a half."""

    name = "nearly"
    task = "Name a number, exactly or nearly."
    answer_format = "The last number counts."
    needs_calls = False
    preload: tuple[str, ...] = ()

    def parse_row(self, number: int, row: Mapping[str, Any]) -> Problem:
        question, answer = text_field(row, "question"), text_field(row, "answer")
        if last_number(answer) is None:
            raise RowError("answer is no number")
        return Problem(problem_id(self.name, question), question, answer)

    async def grade(self, problem: Problem, answer: str, programs: ProgramSandbox) -> float:
        given, wanted = last_number(answer), float(problem.reference)
        if given is None:
            return 0.0
        error = abs(float(given) - wanted) / wanted
        return 1.0 if error == 0 else 0.5 if error <= 0.1 else 0.0


def write_rows(path: Path, n: int) -> None:
    """Stands in for your data: one JSON object a line."""
    questions = [f"Simulated problem 7-{i}: what is its number?" for i in range(n)]
    path.write_text("".join(json.dumps({"question": q, "answer": answer_of(q)}) + "\n" for q in questions))


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "nearly.jsonl"
        write_rows(rows, 60)
        benchmark = FileBenchmark(Nearly(), find_source("nearly", rows), {"train": 20, "validation": 30, "heldout": 10})
    result = await evaluate(
        WorkflowState("nearly", SEED_CODE, "", ("Custom",)),
        benchmark,
        EvaluationBudget(),
        executor=ModelConfig(kind="simulated", model="flat"),
        sandbox=SandboxConfig(programs="monty"),  # the scorer needs no programs
    )
    print(f"{benchmark.name}: {benchmark.task} {benchmark.answer_format}")
    for grade in result.grades[:3]:
        print(f"  {grade.problem_id}: {grade.answer!r} -> {grade.score}")
    interval = result.interval()
    print(f"{result.n} validation problems: {result.mean:.3f} [{interval.low:.3f}, {interval.high:.3f}]")


if __name__ == "__main__":
    asyncio.run(main())
