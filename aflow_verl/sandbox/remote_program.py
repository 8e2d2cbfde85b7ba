"""What is sent to a remote endpoint along with a program: runs it there and prints one line on what came of it.

The text of this module is the beginning of the script, so it uses the standard library alone (Python 3.8 and newer).
What it prints is read by ``remote``: a marker and a JSON object, values written as ``process.values`` reads them.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import io
import json
import os
import random
import sys
import traceback
from typing import Any

FILE = "<program>"
MAX_ITEMS, MAX_NESTING, MAX_PARTS, MAX_INTEGER_BITS = 1000, 20, 20_000, 13_000


class Printed(io.BytesIO):
    """Keeps what fits."""

    max_bytes = 0

    def write(self, data: Any) -> int:
        super().write(memoryview(data)[: max(0, self.max_bytes - self.tell())])
        return len(data)


def run(code: str, marker: str, max_chars: int) -> None:
    """Ends the process."""
    out, printed = sys.stdout, Printed()
    printed.max_bytes = 4 * max_chars
    sys.stdout = io.TextIOWrapper(printed, encoding="utf-8", errors="replace", newline="\n", write_through=True)
    outcome: dict[str, Any] = {"value": None, "error": None}
    random.seed(0)
    try:
        value = evaluate(code)
        try:
            outcome["value"] = plain(value, max_chars, [MAX_PARTS])
        except BaseException as fault:
            outcome["error"] = f"the result can't be returned: {text_of(fault)}"
    except BaseException as fault:
        outcome["error"] = readable(fault)
    outcome["stdout"] = printable(io.BytesIO.getvalue(printed).decode("utf-8", "replace")[:max_chars])
    out.write(f"\n{marker}{json.dumps(outcome)}\n")
    out.flush()
    os._exit(0)


def evaluate(code: str) -> Any:
    """The value of the last expression."""
    scope = {"__name__": "__main__"}
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    tree = compile(code, FILE, "exec", ast.PyCF_ONLY_AST | flags, dont_inherit=True)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else ast.Expr(ast.Constant(None))
    value = None
    for part, mode in ((tree, "exec"), (ast.fix_missing_locations(ast.Expression(last.value)), "eval")):
        compiled = compile(part, FILE, mode, flags, dont_inherit=True)
        value = eval(compiled, scope)
        if compiled.co_flags & inspect.CO_COROUTINE:
            value = asyncio.run(value)
    return value


def plain(value: Any, max_chars: int, left: list[int], depth: int = 0) -> Any:
    """``value`` for ``json.dumps``: a tuple as ``{"t": [...]}``, a dict as ``{"d": {...}}``, cut like ``as_plain``."""
    left[0] -= 1
    if left[0] < 0:
        raise ValueError(f"a value of more than {MAX_PARTS} parts")
    if isinstance(value, int) and not isinstance(value, bool):
        value = int(value)
        if value.bit_length() > MAX_INTEGER_BITS:
            raise ValueError(f"an integer of {value.bit_length()} bits")
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if depth < MAX_NESTING:
        if isinstance(value, (list, tuple)):
            items = [plain(item, max_chars, left, depth + 1) for item in value[:MAX_ITEMS]]
            return {"t": items} if isinstance(value, tuple) else items
        if isinstance(value, dict):
            pairs = list(value.items())[:MAX_ITEMS]
            return {"d": {printable(str(key)[:max_chars]): plain(it, max_chars, left, depth + 1) for key, it in pairs}}
    return printable(str(value)[:max_chars]) if depth < MAX_NESTING else "..."


def printable(text: str) -> str:
    """With ``?`` for lone surrogates."""
    return text.encode("utf-8", "replace").decode("utf-8")


def readable(fault: BaseException) -> str:
    """``Type: message (line n)``."""
    lines = [number for frame, number in traceback.walk_tb(fault.__traceback__) if frame.f_code.co_filename == FILE]
    if isinstance(fault, SyntaxError) and fault.filename == FILE:
        lines = [fault.lineno or 0]
    kind, text = type(fault).__qualname__[:100], text_of(fault)
    return (f"{kind}: {text}" if text else kind) + (f" (line {lines[-1]})" if lines else "")


def text_of(fault: BaseException) -> str:
    """Its message, cut."""
    try:
        return printable(str(fault.msg if isinstance(fault, SyntaxError) else fault))[:300]
    except BaseException:
        return "an exception without a text"
