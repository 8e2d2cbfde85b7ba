"""Whether two LaTeX answers are equal: a program of the sandbox, because one of them was written by a model.

math-verify's parser is a grammar: it builds expressions, and evaluates no text as Python.
"""

from __future__ import annotations

from typing import Any

from math_verify import LatexExtractionConfig, parse, verify
from sympy import Eq


def equal(wanted: str, given: str, bound: float, share: float) -> bool:
    """Equal as expressions, or numbers that differ by at most ``bound`` and ``share`` of the wanted one.

    False for what can't be read. Each text is read as one expression.
    """
    try:
        expected, found = _read(wanted), _read(given)
        if not expected or not found:
            return False
        if verify(expected, found, timeout_seconds=None):  # the sandbox has the time limit
            return True
        return _close(expected[0], found[0], bound, share)
    except Exception:
        return False


def _read(text: str) -> list[Any]:
    found: list[Any] = parse(
        f"${text}$",
        extraction_config=[LatexExtractionConfig()],
        fallback_mode="no_fallback",
        extraction_mode="first_match",
        parsing_timeout=None,
    )
    return found[:1]


def _close(wanted: Any, given: Any, bound: float, share: float) -> bool:
    number, other = _value(wanted), _value(given)
    if number is None or other is None:
        return False
    return abs(number - other) <= min(bound, share * abs(number))


def _value(expression: Any) -> float | None:
    """Of ``x = 5`` the right side. Raises for what is no number."""
    number = complex((expression.rhs if isinstance(expression, Eq) else expression).evalf(15))
    return number.real if number.imag == 0 else None
