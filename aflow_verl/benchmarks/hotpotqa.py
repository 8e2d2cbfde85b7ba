"""HotpotQA (distractor setting): fields ``question``, ``answer`` and ``context``, a list of [title, sentences].

Scored by token F1 (``token_f1``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aflow_verl.benchmarks.scorer import RowError, problem_id, text_field
from aflow_verl.benchmarks.token_f1 import answer_f1
from aflow_verl.sandbox.base import ProgramSandbox
from aflow_verl.types import Problem


class HotpotQa:
    """Questions over several paragraphs."""

    name = "hotpotqa"
    task = "Answer questions that need facts from several paragraphs of the context."
    answer_format = (
        "The answer alone, in as few words as possible: its words are compared (F1), so every other one costs."
    )
    needs_calls = False
    preload: tuple[str, ...] = ()

    def parse_row(self, number: int, row: Mapping[str, Any]) -> Problem:
        question, answer = text_field(row, "question"), text_field(row, "answer")
        prompt = f"Context: {_context(row.get('context'))}\n\nQuestion: {question}\n\nAnswer:"
        return Problem(problem_id(self.name, prompt, answer), prompt, answer)

    async def grade(self, problem: Problem, answer: str, programs: ProgramSandbox) -> float:
        return answer_f1(answer, problem.reference)


def _context(paragraphs: Any) -> str:
    """The prompt's context as AFlow writes it: a paragraph a line, sentences joined by blanks, no titles."""
    if not isinstance(paragraphs, list):
        raise RowError("needs the list context")
    lines = []
    for paragraph in paragraphs:
        match paragraph:
            case [str(), [*sentences]] if all(isinstance(sentence, str) for sentence in sentences):
                lines.append(" ".join(sentences))
            case _:
                raise RowError("context must hold pairs [title, [sentence, ...]]")
    return "\n".join(lines)
