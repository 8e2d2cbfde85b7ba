"""From a model's wordy reply to the answer in it."""

from __future__ import annotations

import re

NUMBER = re.compile(r"[-+]?\d+(?:,\d{3})+(?:\.\d+)?|[-+]?\d+(?:\.\d+)?|[-+]?\.\d+")
_BOXED = re.compile(r"\\boxed\{([^{}]*)\}")
_TAGGED = re.compile(r"<answer>(.*?)</answer>", re.DOTALL | re.IGNORECASE)
_ANNOUNCED = re.compile(r"\b(?:final\s+)?answer(?:\s+is)?\s*[:=]\s*(.+)|\banswer\s+is\s+(.+)", re.IGNORECASE)


def final_answer(text: str) -> str:
    """The answer in ``text``; quotes, emphasis and a final full stop are dropped.

    It stands inside the last ``<answer>`` tag or ``\\boxed{}``, else after the last "Answer:" or "answer is" on its
    line, else it is the last line that is not empty.
    """
    for pattern in (_TAGGED, _BOXED):
        if inside := pattern.findall(text):
            return _bare(inside[-1])
    if announced := [m.group(1) or m.group(2) for m in _ANNOUNCED.finditer(text)]:
        return _bare(announced[-1])
    lines = [line for line in text.splitlines() if line.strip()]
    return _bare(lines[-1]) if lines else ""


def last_number(text: str) -> str | None:
    """The last number in ``text``, thousands separators dropped; None where there is none."""
    found = NUMBER.findall(text)
    return found[-1].replace(",", "") if found else None


def is_number(text: str) -> bool:
    """True for a plain decimal number such as ``-3`` or ``1,250.5``."""
    return NUMBER.fullmatch(text.strip()) is not None


def _bare(text: str) -> str:
    stripped = text.strip().strip("*`\"' \t")
    return stripped[:-1].rstrip("*`\"' \t") if stripped.endswith(".") else stripped
