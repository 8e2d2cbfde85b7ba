"""Token F1 of short answers, as HotpotQA and DROP are scored.

AFlow's rule: lower-case, drop punctuation and the articles a, an, the, then F1 over the bags of words. Three things
differ, each because AFlow's rule pays for a wrong answer or can't pay for a right one: a decimal point stays (2.3 is
not 23), a gold answer without a word in it (``A``) is compared as it stands, and a list of candidates for a number, or
for yes or no, is a bet (``answer_f1``).
"""

from __future__ import annotations

import re
import string
from collections import Counter

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation.replace(".", ""))
_STRAY_POINT = re.compile(r"(?<!\d)\.|\.(?!\d)")
_DECIMAL = re.compile(r"\d+\.\d+")
_NUMBER_LIST = re.compile(r"[-+$€£]?\d[\d,]*(?:\.\d+)?%?")
_BETWEEN = re.compile(r"(?:\s|[,;|&](?!\d{3}\b)|\b(?:or|and)\b)+", re.IGNORECASE)
MAX_NUMBER_DIGITS = 400


def tokens(text: str) -> list[str]:
    """The words of ``text`` that count, in order."""
    bare = _STRAY_POINT.sub("", text.lower().translate(_PUNCTUATION))
    return [_canonical(word) for word in _ARTICLES.sub(" ", bare).split()]


def token_f1(given: str, gold: str) -> float:
    """Harmonic mean of precision and recall over words, in [0, 1].

    A gold answer of which nothing counts is matched by the same text alone.
    """
    wanted, found = tokens(gold), tokens(given)
    if not wanted:
        return float(bool(gold.strip()) and given.strip().lower() == gold.strip().lower())
    common = (Counter(found) & Counter(wanted)).total()
    return 2 * common / (len(found) + len(wanted)) if common else 0.0


def answer_f1(given: str, gold: str) -> float:
    """``token_f1``, but a list of candidates for one number, or for yes or no, is worth its share of right ones.

    That is what a guess among them earns on average; F1 itself would pay 2/3 for naming both of two candidates.
    """
    wanted = tokens(gold)
    if wanted in (["yes"], ["no"]) and {"yes", "no"} <= set(tokens(given)):
        return 0.0
    if len(wanted) == 1 and _is_number(wanted[0]):
        candidates = {piece for piece in _BETWEEN.split(given.strip()) if piece}
        if len(candidates) > 1 and all(map(_NUMBER_LIST.fullmatch, candidates)):
            return float(any(tokens(candidate) == wanted for candidate in candidates)) / len(candidates)
    return token_f1(given, gold)


def _canonical(word: str) -> str:
    """``2.50`` as ``2.5``; other words as they are."""
    if len(word) > MAX_NUMBER_DIGITS or _DECIMAL.fullmatch(word) is None:
        return word
    return word.rstrip("0").rstrip(".")


def _is_number(word: str) -> bool:
    return word.replace(".", "", 1).isdigit()
