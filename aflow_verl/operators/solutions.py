"""Programs in model replies: found in fences or in prose, and cut down to what the function asked for needs."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterable

from aflow_verl.workflow.graph_source import UNPARSABLE

_FENCE = re.compile(r"```(?:[Pp]ython\d?|py)?[ \t]*\n(.*?)(?:```|\Z)", re.S)
_CODE_LINE = re.compile(
    r"from [\w.]+ import |import \w|@\w|(?:async )?def \w+ *\(|class \w+.*:"
    r"|(?:if|for|while|with|try)\b.*: *(?:#.*)?$|[A-Za-z_][\w.]* *(?:\(|(?::[^=]+)?[-+*/%|&]?=[^=])"
)
"""A line that a program may start with, and prose hardly."""
_MAX_PARSES = 40
"""Tries to make a program out of one text; each costs a parse."""


def find_program(reply: str, entry_point: str = "") -> str | None:
    """The program in a reply; None if it has none.

    Fenced blocks count before text outside of them, and of several programs the first that defines ``entry_point``,
    else the longest. Of one that defines it, only what it needs is kept: see ``needed_for``.
    """
    text = reply.replace("\r\n", "\n").replace("\r", "\n")
    blocks = [block for block in _FENCE.findall(text) if block.strip()]
    texts = ["\n\n".join(blocks), *blocks] if len(blocks) > 1 else blocks or [text]
    programs = [program for text in texts if (program := _longest_program(text)) is not None]
    if not programs:
        return None
    defining = [program for program in programs if defines(program, entry_point)]
    return needed_for(defining[0], entry_point) if defining else max(programs, key=len)


def defines(program: str, name: str) -> bool:
    """Whether a program that parses binds ``name`` at its top level."""
    return any(name in _bound(node) for node in ast.parse(program).body)


def syntax_error(program: str) -> str | None:
    """Why a text is no program, in one line; None if it is one."""
    try:
        ast.parse(program)
    except SyntaxError as error:
        return f"SyntaxError: {error.msg} (line {error.lineno})"
    except UNPARSABLE as error:
        return f"{type(error).__name__}: {error}"
    return None


def needed_for(program: str, entry_point: str) -> str:
    """Imports, calls into imported modules, and the statements that bind what ``entry_point`` needs, as written.

    Trials and tests below a solution, which print or raise, are dropped this way; so is ``if __name__ == ...``.
    """
    body = [node for node in ast.parse(program).body if not _is_main_guard(node)]
    needed = _reachable(body, entry_point)
    modules = {name for node in body if isinstance(node, ast.Import | ast.ImportFrom) for name in _bound(node)}
    kept = [node for node in body if _bound(node) & (needed | modules) or _calls(node) in modules]
    lines = program.split("\n")
    return "".join(f"{lines[number]}\n" for number in sorted({number for node in kept for number in _lines(node)}))


def _lines(node: ast.stmt) -> range:
    """The lines of a statement with its decorators, counted from 0."""
    decorators = getattr(node, "decorator_list", [])
    return range((decorators[0] if decorators else node).lineno - 1, node.end_lineno or node.lineno)


def _reachable(body: Iterable[ast.stmt], entry_point: str) -> set[str]:
    """The names at the top level that ``entry_point`` may look up, itself included."""
    uses: dict[str, set[str]] = {}
    for node in body:
        for name in _bound(node):
            uses.setdefault(name, set()).update(_names(node))
    reached, waiting = {entry_point}, [entry_point]
    while waiting:
        for name in uses.get(waiting.pop(), set()) & uses.keys() - reached:
            reached.add(name)
            waiting.append(name)
    return reached


def _bound(node: ast.AST) -> set[str]:
    """Names that a statement binds at the level where it stands. Not recursive: expressions can be deep."""
    names: set[str] = set()
    waiting = [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(part.name)
        elif isinstance(part, ast.Import | ast.ImportFrom):
            names.update((alias.asname or alias.name).split(".")[0] for alias in part.names)
        elif isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            names.add(part.id)
        else:
            waiting.extend(ast.iter_child_nodes(part))
    return names


def _names(node: ast.AST) -> set[str]:
    return {child.id for child in ast.walk(node) if isinstance(child, ast.Name)}


def _calls(node: ast.stmt) -> str | None:
    """``m`` for the statement ``m.f(...)``, such as ``sys.setrecursionlimit(10**6)``."""
    call = node.value if isinstance(node, ast.Expr) else None
    function = call.func if isinstance(call, ast.Call) else None
    return function.value.id if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) else None


def _is_main_guard(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and "__name__" in _names(node.test)


def _longest_program(text: str) -> str | None:
    """The longest run of whole lines that is a program, among those that start where a program may start."""
    lines = textwrap.dedent(text).split("\n")
    starts = [0, *(number for number, line in enumerate(lines) if number and _CODE_LINE.match(line))]
    best, parses = "", 0
    for start in starts[:_MAX_PARSES]:
        program = "\n".join(lines[start:])
        if len(best) > len(program):
            break  # this start and later ones have less to offer
        while len(best) <= len(program) and parses < _MAX_PARSES:
            parses += 1
            program = program.rstrip() + "\n"
            try:
                best = program if _has_statement(ast.parse(program)) else best
                break
            except SyntaxError as error:  # the line that breaks it, and all after it, go
                kept = program.split("\n")[: max(0, (error.lineno or 1) - 1)]
                program = "\n".join(kept if len(kept) < program.count("\n") else kept[:-1])
            except UNPARSABLE:
                break
    return best or None


def _has_statement(tree: ast.Module) -> bool:
    """Prose can parse as well: as names, as texts, or as ``Answer: 42``."""
    return any(
        isinstance(node.value, ast.Call) if isinstance(node, ast.Expr | ast.AnnAssign) else True for node in tree.body
    )
