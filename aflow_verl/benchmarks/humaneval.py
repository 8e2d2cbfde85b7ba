"""HumanEval: fields ``task_id, prompt, entry_point, canonical_solution, test``.

AFlow's rule: ``check(candidate)`` of the row's test passes within 15 s.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aflow_verl.benchmarks.code_scorer import EXAM, CodeScorer
from aflow_verl.benchmarks.docstring_examples import examples
from aflow_verl.benchmarks.judge.exam import definitions, make_exam
from aflow_verl.benchmarks.scorer import RowError, problem_id, text_field
from aflow_verl.types import Problem

WRONG_EXAMPLES = frozenset(
    {
        "assert median([-10, 4, 6, 1000, 10, 20]) == 15.0",
        "assert tri(1) == 3",
        "assert tri(4) == 3",
        "assert bf('Earth', 'Mercury') == 'Venus'",
    }
)
"""Of the 379 examples that are read in the official prompts, those that the official solutions fail."""


class HumanEval(CodeScorer):
    """Functions from their signature and docstring."""

    name = "humaneval"
    task = "Write Python functions from their signature and docstring."

    def parse_row(self, number: int, row: Mapping[str, Any]) -> Problem:
        prompt, entry_point, test = (text_field(row, name) for name in ("prompt", "entry_point", "test"))
        try:
            exam = make_exam(
                f"{test}\n\ncheck({entry_point})\n",
                entry_point,
                prelude=definitions(prompt, without=entry_point),
                opening=prompt,
            )
        except ValueError as wrong:
            raise RowError(f"test is no Python: {wrong}") from None
        if "check" in exam.names:
            raise RowError("test defines no check(candidate)")
        return Problem(
            problem_id(self.name, prompt, test),
            prompt,
            f"{prompt}{row.get('canonical_solution') or ''}",
            entry_point,
            tuple(e for e in examples(prompt, entry_point) if e not in WRONG_EXAMPLES),
            {EXAM: exam},
        )
