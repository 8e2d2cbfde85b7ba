"""Own rules for reasoning-gym tasks whose verifier pays for answers that are wrong, and what no verifier may see.

Each rule stands for a hole in version 0.1.25, named beside it; ``tests/benchmarks/test_task_rules.py`` shows the hole
in the package's verifier and its absence here. A rule gets the answer and the entry of the data set (``question``,
``answer``, ``metadata``) and returns the score.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Any

Entry = Mapping[str, Any]
Rule = Callable[[str, Entry], float]

MAX_ANSWER_CHARS = 10_000
MAX_FORMULA_CHARS = 200
_NOT_FINITE = re.compile(r"\b(?:nan|inf|infinity)\b", re.IGNORECASE)
_LONG_NUMBER = re.compile(r"\d{1001}|[eE][+-]?\d{4}")
_LONG_MOVE = re.compile(r"[+-]\d{3}")
_ARITHMETIC = re.compile(r"[\d+\-*/() ]{1,200}", re.ASCII)
_PROBABILITY = re.compile(r"(\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})(?:\s*/\s*(\d{1,30}))?", re.ASCII)
_LITERAL = re.compile(r"[\w\s\[\],'\"+-]*")
_FORMULA = re.compile(r"[\w\s+\-*/^().]*", re.ASCII)
_NAME = re.compile(r"[A-Za-z_]\w*")
_MATHEMATICS = """
sin cos tan sec csc cot asin acos atan sinh cosh tanh asinh acosh atanh exp log ln sqrt Abs pi E C
"""
_FUNCTIONS = frozenset(_MATHEMATICS.split())


def admissible(task: str, answer: str, entry: Entry) -> bool:
    """Whether a verifier may be asked about ``answer`` at all; what is not scores 0.

    Refused everywhere: not-a-number and infinity (``[NaN, NaN]`` is a sorted list of any numbers, ``nan`` any complex
    number), and numbers that take minutes to compute with. Refused for tasks whose verifier evaluates answers: whatever
    could call a function that isn't mathematics.
    """
    reference = str(entry["answer"])
    if len(answer) > MAX_ANSWER_CHARS or _LONG_NUMBER.search(answer):
        return False
    if _NOT_FINITE.search(answer) and not _NOT_FINITE.search(reference):
        return False
    return task not in _ADMISSIBLE or answer == reference or _ADMISSIBLE[task](answer, entry)


def _literal(answer: str, entry: Entry) -> bool:
    """Lists of texts and numbers: no parentheses, no attributes, so nothing can be called."""
    return _LITERAL.fullmatch(answer) is not None


def _formula(answer: str, entry: Entry) -> bool:
    """Elementary functions of the problem's own variables. No ``Integral``, which is the question again."""
    metadata = entry["metadata"]
    variables = {metadata["variable"]} if "variable" in metadata else set(metadata["variables"])
    if _FORMULA.fullmatch(answer) is None or re.search(r"\.\s*[A-Za-z_]", answer):
        return False
    return set(_NAME.findall(answer)) <= _FUNCTIONS | variables


def _roots(answer: str, entry: Entry) -> bool:
    """Where there is no solution, no text without a number passes for one."""
    return bool(str(entry["answer"]).strip()) or not answer.strip()


def _short(answer: str, entry: Entry) -> bool:
    """Parsing formulas takes cubic time: 20 s for 3,000 symbols."""
    return len(answer) <= MAX_FORMULA_CHARS


def _few_steps(answer: str, entry: Entry) -> bool:
    """No vehicle moves a hundred squares."""
    return _LONG_MOVE.search(answer) is None


_ADMISSIBLE: Mapping[str, Callable[[str, Entry], bool]] = MappingProxyType(
    {
        "binary_matrix": _literal,
        "n_queens": _literal,
        "spiral_matrix": _literal,
        "string_insertion": _literal,
        "intermediate_integration": _formula,
        "polynomial_multiplication": _formula,
        "simple_integration": _formula,
        "polynomial_equations": _roots,
        "propositional_logic": _short,
        "rush_hour": _few_steps,
    }
)


def _halting(answer: str, entry: Entry) -> float:
    """game_of_life_halting: the verifier compares truth values, and every text is true."""
    return float(answer.strip().lower() == str(entry["answer"]).strip().lower())


def _coin_flip(answer: str, entry: Entry) -> float:
    """coin_flip: the verifier pays 1.0 for any prefix of the digits, such as ``0``.

    Right within its 1e-4, and within 1 % of the chance and of its complement.
    """
    match = _PROBABILITY.fullmatch(answer.replace(",", "").strip())
    if match is None or (match.group(2) is not None and int(match.group(2)) == 0):
        return 0.0
    given, wanted = Fraction(match.group(1)) / int(match.group(2) or 1), Fraction(str(entry["answer"]))
    return float(abs(given - wanted) <= min(Fraction(1, 10_000), wanted / 100, (1 - wanted) / 100))


def _countdown(answer: str, entry: Entry) -> float:
    """countdown: the verifier evaluates the answer, and reads 1.2 as the numbers 1 and 2."""
    metadata = entry["metadata"]
    return float(_makes(answer, metadata["numbers"], int(metadata["target"])))


def _puzzle24(answer: str, entry: Entry) -> float:
    """puzzle24: the verifier evaluates the answer, and takes any four numbers for those of the question."""
    return float(_makes(answer, entry["metadata"]["numbers"], 24))


def _makes(answer: str, numbers: Iterable[int], target: int) -> bool:
    """Whether ``answer`` combines exactly ``numbers`` by + - * / to ``target``."""
    used: list[int] = []
    try:
        if _ARITHMETIC.fullmatch(answer.strip()) is None:
            return False
        value = _value(ast.parse(answer.strip(), mode="eval").body, used)
    except (SyntaxError, ValueError, ZeroDivisionError):
        return False
    return value == target and sorted(used) == sorted(numbers)


def _value(node: ast.expr, used: list[int]) -> Fraction:
    """The exact value; the numbers in it are added to ``used``. Raises ValueError for any other expression."""
    match node:
        case ast.Constant(value=int() as number):
            used.append(number)
            return Fraction(number)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, used)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATIONS:
            return _OPERATIONS[type(op)](_value(left, used), _value(right, used))
    raise ValueError("not an arithmetic expression")


_OPERATIONS: Mapping[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = MappingProxyType(
    {
        ast.Add: lambda a, b: a + b,
        ast.Sub: lambda a, b: a - b,
        ast.Mult: lambda a, b: a * b,
        ast.Div: lambda a, b: a / b,
    }
)

RULES: Mapping[str, Rule] = MappingProxyType(
    {"game_of_life_halting": _halting, "coin_flip": _coin_flip, "countdown": _countdown, "puzzle24": _puzzle24}
)
"""Tasks that are scored by a rule of ours alone."""

ALL_OR_NOTHING = frozenset({"time_intervals"})
"""Tasks without partial credit: their verifiers pay constant answers ("0") more than half of it."""
