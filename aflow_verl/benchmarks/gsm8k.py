"""GSM8K: fields ``question`` and ``answer`` (its last number counts).

AFlow's rule is the last number of the reply, commas dropped, equal within 1e-6. So is ours, except that the number
which the reply itself marks as its answer comes first, and that numbers which only refer (a step, a citation, a stated
confidence) are no answers. A reply has one number that counts, so naming several gains nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from aflow_verl.benchmarks.answers import last_boxed, last_number, last_tagged
from aflow_verl.benchmarks.scorer import RowError, problem_id, text_field
from aflow_verl.sandbox.base import ProgramSandbox
from aflow_verl.types import Problem

TOLERANCE = 1e-6
"""AFlow's."""

_REFERENCES = re.compile(
    r"\(\s{0,3}(?:see\s+|cf\.?\s+|from\s+|by\s+|in\s+|as\s+in\s+)?(?:steps?|eq(?:uation)?s?|notes?|refs?|parts?)\b[^()\n]*\)"
    r"|\b(?:see|by|from|in|per|of|after|using|took|with)\s+(?:only\s+|just\s+)?steps?\s+\d+(?:\s*(?:,|and|to|-)\s*\d+)*"
    r"|^[ \t*#]{0,9}steps?\s+\d+\b"
    r"|\bconfidence\b[^\n\d]{0,40}\d+(?:\.\d+)?(?:\s*/\s*\d+)?"
    r"|(?<![\d.])\d{1,3}(?:\.\d{1,3})?\s{0,3}%\s{0,3}(?:sure|confident|certain|confidence)\b"
    r"|(?<=[\d.!?%)\]])\s{0,3}\[\d{1,3}\]",
    re.IGNORECASE | re.MULTILINE,
)
"""Numbers that only refer. Each alternative starts at a word or bracket and is bounded, so the search is linear."""
_GOLD_MARK = re.compile(r"####(?!#)(.*)")
_ANNOUNCED = re.compile(
    r"(?<!\bfirst )(?<!\binitial )(?<!\bwrong )\banswer(?:\s+is|\s*[:=])+\s*(.*?)"
    r"(?=$|[.!?](?:\s|$|\*)|[\s,(]{1,3}(?:because|since|as|which|where|see|from|i\.e\.)\b)",
    re.IGNORECASE | re.MULTILINE,
)
_CORRECTION = re.compile(
    r"\b(?:wait|actually|correction|correcting|instead|recompute|mistake|oops|however)\b", re.IGNORECASE
)


class Gsm8k:
    """Grade-school mathematics."""

    name = "gsm8k"
    task = "Solve grade-school mathematics problems."
    answer_format = "The answer is a number: after '####' or 'Answer:', else the last number of the text."
    needs_calls = False
    preload: tuple[str, ...] = ()

    def parse_row(self, number: int, row: Mapping[str, Any]) -> Problem:
        question, answer = text_field(row, "question"), text_field(row, "answer")
        wanted = answer_number(answer)
        if wanted is None or not math.isfinite(wanted):
            raise RowError("no number in answer")
        return Problem(problem_id(self.name, question, answer), question, answer)

    async def grade(self, problem: Problem, answer: str, programs: ProgramSandbox) -> float:
        given, wanted = answer_number(answer), answer_number(problem.reference)
        if given is None or wanted is None:
            return 0.0
        return float(math.isclose(given, wanted, rel_tol=0.0, abs_tol=TOLERANCE))


def answer_number(text: str) -> float | None:
    """The number that ``text`` gives as its answer; None where it has none.

    Looked for in this order: the last ``<answer>``, ``\\boxed{}`` or ``####``; what is announced ("the answer is ...")
    unless the text corrects itself after that; the whole text without numbers that only refer; the whole text.
    """
    for candidate in (*_marked(text), _announced(text), _REFERENCES.sub(" ", text), text):
        if (number := last_number(candidate)) is not None:
            return float(number)
    return None


def _marked(text: str) -> tuple[str, ...]:
    gold = _GOLD_MARK.findall(text)
    return tuple(
        _REFERENCES.sub(" ", m) for m in (last_tagged(text), last_boxed(text), gold[-1] if gold else None) if m
    )


def _announced(text: str) -> str:
    """The last announcement that names a number, up to the end of its clause; empty where there is none."""
    for match in reversed(list(_ANNOUNCED.finditer(text))):
        statement = _REFERENCES.sub(" ", match.group(1))
        if last_number(statement) is not None:
            return "" if _CORRECTION.search(text, match.end()) else statement
    return ""
