"""From a model's wordy reply to the answer in it. Every function is linear in the length of the reply."""

from __future__ import annotations

import re

NUMBER = re.compile(r"[-+]?\d+(?:,\d{3})+(?:\.\d+)?|[-+]?\d+(?:\.\d+)?|[-+]?\.\d+")
_BOX_PARTS = re.compile(r"\\(?:boxed|fbox)\s*\{|\\(?:boxed|fbox)\s+(\w+)|\\.|[{}]", re.DOTALL)
_ANNOUNCED = re.compile(r"\b(?:final\s+)?answer(?:\s+is)?\s*[:=]\s*(.+)|\banswer\s+is\s+(.+)", re.IGNORECASE)


def final_answer(text: str) -> str:
    """The answer in ``text``; quotes, emphasis and a final full stop are dropped.

    It stands inside the last ``<answer>`` tag or ``\\boxed{}``, else after the last "Answer:" or "answer is" on its
    line, else it is the last line that is not empty.
    """
    for inside in (last_tagged(text), last_boxed(text)):
        if inside is not None:
            return _bare(inside)
    if announced := [m.group(1) or m.group(2) for m in _ANNOUNCED.finditer(text)]:
        return _bare(announced[-1])
    lines = [line for line in text.splitlines() if line.strip()]
    return _bare(lines[-1]) if lines else ""


def last_tagged(text: str) -> str | None:
    """What stands in the last ``<answer>...</answer>``; None where there is none."""
    lower = text.lower()
    if len(lower) != len(text):  # a few letters change their length; their case is no matter of ours
        lower = text
    end = lower.rfind("</answer>")
    start = lower.rfind("<answer>", 0, max(end, 0))
    return text[start + len("<answer>") : end] if end >= 0 and start >= 0 else None


def last_boxed(text: str) -> str | None:
    """What stands in the last ``\\boxed{...}`` (or ``\\fbox{...}``, ``\\boxed 9``), braces nested to any depth.

    A box without its closing brace doesn't count. Of boxes in one another, the inner one counts.
    """
    open_braces: list[int | None] = []
    last: tuple[int, str] | None = None
    for part in _BOX_PARTS.finditer(text):
        token = part.group()
        if part.group(1) is not None:
            last = (part.start(1), part.group(1))
        elif token.endswith("{") and token[0] != "{" and token != "\\{":
            open_braces.append(part.end())
        elif token == "{":
            open_braces.append(None)
        elif token == "}" and open_braces:
            start = open_braces.pop()
            if start is not None and (last is None or start > last[0]):
                last = (start, text[start : part.start()])
    return last[1].strip() if last else None


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
