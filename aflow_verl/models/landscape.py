"""What a simulated model knows: the skill of each kind of call, and problems whose answer is a function of their text.

A landscape makes the value of a workflow known in advance, so that a search or a training run can be checked against
it. ``aflow_verl.benchmarks.simulated`` poses the problems.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

PROBLEM = re.compile(r"Simulated problem \d+-\d+: what is its number\?")
"""Seed of the benchmark, then the problem's own number."""

PROGRAM_MARKER = "Python"
"""Occurs in what Programmer asks, and in no instruction of the library."""
LIST_MARKER = "one by one"
"""Occurs in the instruction ``list_items``."""
CHOICE_MARKER = "Reply with its letter only"
"""Occurs in what ScEnsemble asks."""


@dataclass(frozen=True, slots=True)
class Landscape:
    """Chance of a right answer by kind of call. Replies are decided by hashes, so a seed fixes all of them."""

    custom: float
    """For a call that no marker matches."""
    markers: Mapping[str, float] = field(default_factory=dict)
    """Text that occurs in a call -> its skill; the first that occurs counts."""
    choice: float = 1.0
    """Chance that a vote returns the most frequent solution, else a random one."""
    spread: float = 0.1
    """Problems differ: the skill on one problem is up to this much higher or lower, evenly."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """Marker -> what a reply to such a call says before its number. A later step is shown the reply, so the note may be
    a marker itself: of an edit that pays only with the edit after it."""

    def skill(self, text: str, problem: str) -> float:
        """Chance of a right answer to a call whose messages read ``text``, on this problem."""
        level = next((skill for marker, skill in self.markers.items() if marker in text), self.custom)
        return min(1.0, max(0.0, level + self.spread * (2 * uniform("difficulty", problem) - 1)))

    def kind(self, text: str) -> str:
        """The marker that decides, or ``Custom``."""
        return next((marker for marker in self.markers if marker in text), "Custom")

    def note(self, text: str) -> str:
        """What the reply to this call says before its number; empty for most."""
        return self.notes.get(self.kind(text), "")


LANDSCAPES: Mapping[str, Landscape] = MappingProxyType(
    {
        "one_good_edit": Landscape(custom=0.2, markers={PROGRAM_MARKER: 0.9}),
        "ladder": Landscape(
            custom=0.3,
            markers={PROGRAM_MARKER: 0.7, "Check the draft": 0.6, "step by step": 0.45, "answer only": 0.35},
        ),
        "trap": Landscape(
            custom=0.2,
            markers={"Items found:": 0.95, PROGRAM_MARKER: 0.5, LIST_MARKER: 0.3},
            notes={LIST_MARKER: "Items found: "},
        ),
        "flat": Landscape(custom=0.5),
    }
)
"""``models.executor.model`` of a simulated executor names one. ``one_good_edit``: only Programmer helps. ``ladder``:
several edits help, one more than the next. ``trap``: Programmer pays at once, and little comes after it; to list items
pays little, but any step after that one, which sees them, is worth more than Programmer. ``flat``: nothing helps but a
vote."""


def answer_of(problem: str) -> str:
    """The one right answer to a simulated problem: four digits, a function of its text."""
    return str(1000 + digest("answer", problem) % 9000)


def wrong_answer(problem: str, *parts: Any) -> str:
    """A wrong answer, the same for the same parts."""
    right = int(answer_of(problem))
    return str(1000 + (right - 1000 + 1 + digest("wrong", problem, *parts) % 8999) % 9000)


def uniform(*parts: Any) -> float:
    """A number in [0, 1), a function of ``parts``."""
    return digest(*parts) / 2**64


def digest(*parts: Any) -> int:
    """64 bits that depend on ``parts`` alone."""
    return int.from_bytes(hashlib.sha256(json.dumps(parts).encode()).digest()[:8], "big")
