"""What an answer is examined with: tests that it never sees, and what both sides may use."""

from __future__ import annotations

import ast
import builtins
import symtable
import sys
from dataclasses import dataclass

COMMON = "import hashlib, math, re\nfrom typing import Any, Dict, List, Optional, Tuple\n"
"""The names that AFlow's judge gives to answers and tests alike."""


@dataclass(frozen=True, slots=True)
class Exam:
    """The hidden half of a code problem."""

    tests: str
    """A program that raises nothing if the answer is right; it calls the answer's functions by their names."""
    names: tuple[str, ...]
    """What the tests take from the answer, the entry point first."""
    prelude: str = COMMON
    """Definitions that answer and tests may use. Each side runs its own copy: an answer can't change the tests'."""
    opening: str = ""
    """Text that an answer may continue instead of defining the entry point itself."""


def make_exam(tests: str, entry_point: str, *, prelude: str = "", opening: str = "") -> Exam:
    """``tests`` may use the definitions in ``prelude``. Modules that they use without importing them are imported.

    Raises ValueError for a program that doesn't parse.
    """
    definitions = COMMON + prelude
    try:
        free = _free_names(tests) - _bound_names(definitions) - set(dir(builtins)) - {entry_point}
    except SyntaxError as wrong:
        raise ValueError(f"{wrong.msg} (line {wrong.lineno})") from None
    modules = free & sys.stdlib_module_names  # never from the answer, which could hand out one of its own
    imports = "".join(f"import {module}\n" for module in sorted(modules))
    return Exam(imports + tests, (entry_point, *sorted(free - modules)), definitions, opening)


def definitions(code: str, without: str) -> str:
    """The imports, functions, classes and variables at the top of ``code``, but for ``without``; no text where the code
    doesn't parse."""
    try:
        statements = ast.parse(code).body
    except SyntaxError:
        return ""
    kept = [s for s in statements if isinstance(s, _DEFINING) and getattr(s, "name", None) != without]
    return "".join(f"{ast.unparse(s)}\n" for s in kept)


_DEFINING = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign)


def _free_names(code: str) -> set[str]:
    """What a program uses and defines nowhere at its top."""
    top = symtable.symtable(code, "tests", "exec")
    tables, used = [top], set()
    while tables:
        table = tables.pop()
        used |= {s.get_name() for s in table.get_symbols() if s.is_referenced() and (table is top or s.is_global())}
        tables += table.get_children()
    return used - _bound_in(top)


def _bound_names(code: str) -> set[str]:
    return _bound_in(symtable.symtable(code, "prelude", "exec"))


def _bound_in(table: symtable.SymbolTable) -> set[str]:
    return {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported() or s.is_namespace()}
