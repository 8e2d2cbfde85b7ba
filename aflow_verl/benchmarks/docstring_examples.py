"""The examples that a prompt shows in its docstring, as ``assert`` statements.

Read are doctests (``>>> f(1)`` and its value below) and, on one line, ``f(1) == 2`` with any of the signs in ``_SIGN``.
An example whose arguments or value is no literal is left out: better few public tests than a wrong one.
"""

from __future__ import annotations

import ast
import doctest
import re
import textwrap
from collections.abc import Iterator
from typing import Any

_SIGN = re.compile(r"[ \t]*(?:#[ \t]*)?(?:==>|=>|==|=|->|➞|→|(?:should )?returns?|should be)[ \t]*(?P<value>[^\n]+)")
_MAX_CALL_CHARS = 2000
_WORDS = {"true": True, "false": False, "null": None, "none": None}


class _NoLiteral(ValueError):
    """A text that is no Python literal."""


def examples(prompt: str, entry_point: str) -> tuple[str, ...]:
    """Statements such as ``assert f(1) == 2``, in the order of the docstring, each once."""
    text = _docstring(prompt, entry_point)
    found = [*_doctests(text, entry_point), *_one_line(text, entry_point)]
    return tuple(dict.fromkeys(f"assert {ast.unparse(call)} == {value!r}" for call, value in found))


def _docstring(prompt: str, entry_point: str) -> str:
    try:
        body = ast.parse(prompt).body
    except SyntaxError:
        return ""
    functions = [s for s in body if isinstance(s, ast.FunctionDef) and s.name == entry_point]
    return (ast.get_docstring(functions[-1]) or "") if functions else ""


def _doctests(text: str, entry_point: str) -> Iterator[tuple[ast.expr, Any]]:
    try:
        shown = doctest.DocTestParser().get_examples(text)
    except ValueError:  # prompts without their space, for one
        return
    for example in shown:
        try:
            call, value = ast.parse(example.source.strip(), mode="eval").body, _shown(example.want)
        except (SyntaxError, _NoLiteral):
            continue
        if _calls(call, entry_point):
            yield call, value


def _one_line(text: str, entry_point: str) -> Iterator[tuple[ast.expr, Any]]:
    for start in re.finditer(rf"(?<![\w.]){re.escape(entry_point)}\(", text):
        if text[: start.start()].endswith(">>> "):
            continue
        call, end = _call_at(text, start.start())
        sign = _SIGN.match(text, end)
        if call is None or sign is None or not all(_is_literal(a) for a in call.args) or call.keywords:
            continue
        try:
            yield call, _value(sign["value"])
        except _NoLiteral:
            continue


def _call_at(text: str, start: int) -> tuple[ast.Call | None, int]:
    """The shortest call from ``start``, and where it ends."""
    for close in re.finditer(r"\)", text[start : start + _MAX_CALL_CHARS]):
        try:
            call = ast.parse(textwrap.dedent(text[start : start + close.end()]), mode="eval").body
        except SyntaxError:
            continue
        if isinstance(call, ast.Call):
            return call, start + close.end()
    return None, start


def _shown(want: str) -> Any:
    """The literal below a doctest, or on its first line: prose may follow without a blank line."""
    try:
        return _literal(want)
    except _NoLiteral:
        return _literal(want.partition("\n")[0])


def _value(text: str) -> Any:
    """The literal at the end of a line, without a comment, a full stop or an explanation in brackets."""
    for candidate in (text, text.partition(" #")[0], text.rstrip(" ."), re.split(r"[ \t]+\(", text)[0]):
        try:
            return _literal(candidate)
        except _NoLiteral:
            continue
    raise _NoLiteral(text)


def _literal(text: str) -> Any:
    bare = text.strip()
    if bare in _WORDS:
        return _WORDS[bare]
    try:
        return ast.literal_eval(bare)
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        raise _NoLiteral(text) from None


def _is_literal(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError):
        return False
    return True


def _calls(node: ast.expr, name: str) -> bool:
    return any(isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == name for n in ast.walk(node))
