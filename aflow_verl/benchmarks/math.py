"""MATH: fields ``problem`` and ``solution`` (its last ``\\boxed{}`` counts).

AFlow's rule: the last box, else the last sentence; equal are equal texts, numbers within 1e-3, and what is symbolically
equal. The last is decided by math-verify's LaTeX grammar, which builds expressions and never evaluates text as Python,
in the program sandbox: whatever a reply makes the parser or the simplifier do ends with that process's limits.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from aflow_verl.benchmarks.answers import final_answer, last_boxed
from aflow_verl.benchmarks.sandboxed.run import call_sandboxed
from aflow_verl.benchmarks.scorer import RowError, problem_id, text_field
from aflow_verl.sandbox.base import ProgramSandbox
from aflow_verl.sandbox.limits import Limits
from aflow_verl.types import Problem

TOLERANCE = 1e-3
"""Between numbers; AFlow's."""
RELATIVE_TOLERANCE = 1e-2
"""Of the gold answer, where that is the tighter bound: 0 is no answer to 1/2016."""
MAX_ANSWER_CHARS = 500
"""Of an answer that is compared symbolically; the longest answer of the data set has 159."""
LIMITS = Limits(seconds=5.0, memory_mb=512)
"""A comparison takes about 20 ms; a reply that needs more is wrong."""

_SENTENCE_END = re.compile(r"(?<!\d)[.!?]\s+")
_NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+(?:\.\d*)?|\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?", re.ASCII)
_WORDS = re.compile(r"\\(?:text|textbf|textit|mathrm|mbox)\s*\{[^{}]*[A-Za-z]|^[A-Za-z]{3,}$")
_WRAPPER = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mbox)\s*\{([^{}]*)\}")
_SPACING = re.compile(r"\\(?:left|right|[bB]igg?[lr]?)(?![A-Za-z])|\\[!,;:> ]|\\q?quad(?![A-Za-z])|~|\s+")
_UNIT = re.compile(r"(?<=\d)\s*\\(?:text|mathrm|mbox)\s*\{\s*[A-Za-z][A-Za-z .^0-9]*\}(?:\^\{?[23]\}?)?$")
_DEGREES = re.compile(r"\^\s*(?:\\circ|\{\s*\\circ\s*\})|\\degree|°")


class Math:
    """Competition mathematics."""

    name = "math"
    task = "Solve competition mathematics problems."
    answer_format = "The final answer stands in \\boxed{}; the last box counts."
    needs_calls = False
    preload = ("aflow_verl.benchmarks.sandboxed.warm_math",)

    def parse_row(self, number: int, row: Mapping[str, Any]) -> Problem:
        problem, solution = text_field(row, "problem"), text_field(row, "solution")
        if not gold_answer(solution):
            raise RowError("no answer in solution")
        return Problem(problem_id(self.name, problem, solution), problem, solution)

    async def grade(self, problem: Problem, answer: str, programs: ProgramSandbox) -> float:
        given, wanted = given_answer(answer), gold_answer(problem.reference)
        known = quick_equal(given, wanted)
        if known is not None:
            return float(known)
        data = {"wanted": plain(wanted), "given": plain(given), "bound": TOLERANCE, "share": RELATIVE_TOLERANCE}
        return float(await call_sandboxed(programs, self.name, "math_equality", "equal", data, LIMITS) is True)


def gold_answer(solution: str) -> str:
    """AFlow's reading: the last box, else the last sentence."""
    boxed = last_boxed(solution)
    return boxed if boxed is not None else _last_sentence(solution)


def given_answer(text: str) -> str:
    """The same of a reply; of a sentence, what it announces as its answer."""
    boxed = last_boxed(text)
    return boxed if boxed is not None else final_answer(_last_sentence(text))


def quick_equal(given: str, wanted: str) -> bool | None:
    """Whether two answers are equal, where that shows without algebra; None where it doesn't."""
    if given == wanted or plain(given) == plain(wanted):
        return True
    numbers = number(given), number(wanted)
    if numbers[0] is not None and numbers[1] is not None:
        return abs(numbers[0] - numbers[1]) <= min(TOLERANCE, RELATIVE_TOLERANCE * abs(numbers[1]))
    # Letters of a word would be read as a product, whatever their order.
    if not plain(given) or len(given) > MAX_ANSWER_CHARS or _WORDS.search(wanted) or _WORDS.search(given):
        return False
    return None


def number(text: str) -> float | None:
    """A finite decimal number, thousands separators dropped, ``%`` a hundredth; None for anything else."""
    bare = plain(text)
    percent = bare.endswith("%")
    digits = bare.rstrip("%").rstrip("\\")
    if len(digits) > MAX_ANSWER_CHARS or _NUMBER.fullmatch(digits) is None:
        return None
    value = float(digits.replace(",", "")) / (100 if percent else 1)
    return value if math.isfinite(value) else None


def plain(answer: str) -> str:
    """``answer`` without what changes its looks alone: spacing, delimiters, units, text wrappers, degree signs."""
    text = answer[: 4 * MAX_ANSWER_CHARS].replace("\\$", "").replace("$", "").replace("{,}", ",")
    text = _DEGREES.sub("", _UNIT.sub("", text.strip()))
    text = _SPACING.sub("", _WRAPPER.sub(r"\1", text))
    return text.replace("dfrac", "frac").replace("tfrac", "frac").rstrip(".")


def _last_sentence(text: str) -> str:
    sentences = [sentence.strip() for sentence in _SENTENCE_END.split(text) if sentence.strip()]
    return sentences[-1] if sentences else ""
