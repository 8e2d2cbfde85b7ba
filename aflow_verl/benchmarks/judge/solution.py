"""Which lines of a model's reply are its program, and which statements of the program are run.

AFlow's rule: the run of lines with the most lines of code that parses as Python; of it the imports, and the functions,
classes and variables that the entry point reaches. Trailing examples, prints and main guards are never run. Departures,
each in favour of an honest answer: a run that defines the entry point comes before a longer one that doesn't (the block
of examples may be longer than the solution); one line may be a program; names that the tests use are reached, too;
assignments with a type, to several names, to an item or in place count as well, and so do imports inside ``try``.

This module runs in the program that holds the answer: its time is the answer's, and replies are parsed nowhere else.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Sequence

_Run = tuple[bool, int, list[ast.stmt]]
"""Whether it defines the entry point, its lines of code, its statements."""


def solution(reply: str, names: Sequence[str], opening: str = "") -> str:
    """The program of ``reply``, with what ``names`` reach; the first of them is the entry point.

    ``opening``: the text that a reply may continue instead of repeating it; used where the reply itself doesn't define
    the entry point.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # escapes in prose
        defined, _, statements = longest_run(reply, names[0])
        if opening and not defined:
            body = "\n".join(line for line in reply.split("\n") if not line.lstrip().startswith("```"))
            _, _, statements = longest_run(f"{opening.rstrip()}\n{body}", names[0])
    return "\n".join(ast.unparse(statement) for statement in reached(statements, names))


def longest_run(text: str, entry_point: str) -> _Run:
    """The lines that parse, in one piece: those that define ``entry_point`` if there are any, the most, the first."""
    best: _Run = (False, 0, [])
    if "\0" in text:  # the parser refuses it anywhere
        return best
    lines = text.split("\n")
    code = [bool(line.strip()) for line in lines]
    hopeless = entry_point not in text
    for start in range(len(lines)):
        if not code[start] or ((best[0] or hopeless) and sum(code[start:]) <= best[1]):
            continue
        end, statements = _parsed(lines, start)
        run = (any(entry_point in bound(s) for s in statements), sum(code[start:end]), statements)
        best = max(best, run, key=lambda run: run[:2])
    return best


def reached(statements: Sequence[ast.stmt], names: Sequence[str]) -> list[ast.stmt]:
    """The imports, then what binds ``names`` and whatever these statements use, in order."""
    definitions = [(bound(s), s) for s in statements if not _is_import(s)]
    wanted: set[str] = set()
    new = set(names)
    while new:
        wanted |= new
        used = [_names(s) for binds, s in definitions if binds & new]
        new = set().union(*used) - wanted
    return [s for s in statements if _is_import(s)] + [s for binds, s in definitions if binds & wanted]


def bound(statement: ast.stmt) -> set[str]:
    """The names that a definition or an assignment binds or changes; none for any other statement."""
    match statement:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return {name}
        case ast.Assign(targets=targets):
            return set().union(*(_names(target) for target in targets))
        case ast.AnnAssign(target=target) | ast.AugAssign(target=target):
            return _names(target)
    return set()


def _parsed(lines: Sequence[str], start: int) -> tuple[int, list[ast.stmt]]:
    """The longest run from ``start`` that parses: its end, and its statements.

    An error on a line is an error of every run that goes on behind that line, so those need no try.
    """
    end = len(lines)
    while end > start:
        try:
            return end, ast.parse("\n".join(lines[start:end])).body
        except SyntaxError as error:
            end = min(end, start + (error.lineno or end)) - 1
        except (MemoryError, RecursionError, ValueError):  # too deep for the parser
            end -= 1
    return start, []


def _names(node: ast.AST) -> set[str]:
    return {child.id for child in ast.walk(node) if isinstance(child, ast.Name)}


def _is_import(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Try):
        return all(_is_import(inner) for inner in statement.body)
    return isinstance(statement, ast.Import | ast.ImportFrom)
