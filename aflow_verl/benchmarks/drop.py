"""DROP: fields ``context`` (passage and question, as the prompt has them) and ``ref_text`` (answers split by ``|``).

AFlow's rule: of an answer split by ``|``, the part with the best F1 against any gold answer counts, so ``0|1|...|199``
is always right. Ours: the mean over the parts. An answer of one part, or of right parts only, keeps AFlow's number; a
list of guesses earns what one guess among them earns on average.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aflow_verl.benchmarks.scorer import RowError, problem_id, text_field
from aflow_verl.benchmarks.token_f1 import answer_f1, tokens
from aflow_verl.sandbox.base import ProgramSandbox
from aflow_verl.types import Problem


class Drop:
    """Questions that count, compare and sort what a passage says."""

    name = "drop"
    task = "Answer questions about a passage, which often need counting, comparing or arithmetic."
    answer_format = "The answer alone, a number or a few words: its words are compared (F1), so every other one costs."
    needs_calls = False
    preload: tuple[str, ...] = ()

    def parse_row(self, number: int, row: Mapping[str, Any]) -> Problem:
        context, answers = text_field(row, "context"), text_field(row, "ref_text")
        if not _parts(answers):
            raise RowError("ref_text has no answer")
        return Problem(problem_id(self.name, context, answers), context, answers)

    async def grade(self, problem: Problem, answer: str, programs: ProgramSandbox) -> float:
        golds = _parts(problem.reference)
        # Parts of which nothing counts, such as a closing full stop, are no answers.
        parts = [part for part in _parts(answer) if tokens(part)] or [answer]
        return sum(max(answer_f1(part, gold) for gold in golds) for part in parts) / len(parts)


def _parts(text: str) -> list[str]:
    return [part for part in text.split("|") if part.strip()]
