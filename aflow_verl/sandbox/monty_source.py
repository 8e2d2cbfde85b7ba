"""What stands around the code that is fed to Monty, so that only small plain data leaves the interpreter.

Whatever crosses to the host is copied out item by item, and ``x = [x] * 100``, eight times over, has 10^16 of them. So
the value of a run and the arguments of its calls pass through a function that runs inside, within the run's own limits,
and makes them plain and small first. Its name is new for each run, so that code can neither replace nor go around it.
"""

from __future__ import annotations

import ast
import secrets
from dataclasses import dataclass, fields
from functools import lru_cache

from aflow_verl.sandbox.host_call import HOST_CALL
from aflow_verl.sandbox.limits import Limits
from aflow_verl.sandbox.prelude import CALL
from aflow_verl.sandbox.result import MAX_ITEMS, MAX_NESTING
from aflow_verl.workflow.graph_source import UNPARSABLE

MAX_PARTS = 20_000
"""Of all containers of one value together: some megabytes of Python objects, some milliseconds to copy."""
MAX_TEXT = 1 << 20
"""Characters of all texts of one value together."""

_GUARD = """\
def {plain}(value, chars, left=None, depth=0, isinstance=isinstance, len=len, str=str, list=list, tuple=tuple,
            dict=dict, simple=(int, float, bool), ValueError=ValueError):
    if left is None:
        left = [{parts}, {text}]
    left[0] -= 1
    if left[0] < 0:
        raise ValueError("a value of more than {parts} parts")
    if value is None or isinstance(value, simple):
        return value
    if depth < {nesting}:
        if isinstance(value, list):
            return [{plain}(item, chars, left, depth + 1) for item in value[:{items}]]
        if isinstance(value, tuple):
            return tuple([{plain}(item, chars, left, depth + 1) for item in value[:{items}]])
        if isinstance(value, dict):
            pairs = list(value.items())[:{items}]
            return {{{plain}(str(key), chars, left): {plain}(item, chars, left, depth + 1) for key, item in pairs}}
    text = str(value)[:chars] if depth < {nesting} else "..."
    left[1] -= len(text)
    if left[1] < 0:
        raise ValueError("a value of more than {text} characters")
    return text

async def {call}(name, args, kwargs):
    return {awaited}{outer_call}(name, {plain}(args, {text}), {plain}(kwargs, {text}))

def {host_call}(text):
    return {outer_host_call}({plain}(text, {text}))

"""


_NAME_BYTES = 8


@dataclass(frozen=True, slots=True)
class Names:
    """What the host's side is called in one run."""

    call: str
    """Takes an operator's name, arguments and named arguments."""
    host_call: str
    """Takes the text of a program's ``host_call``."""
    plain: str
    """The function that makes a value plain and small."""
    value: str
    """Holds the value of the last expression."""

    @classmethod
    def unguessable(cls) -> Names:
        """Independent names out of one draw: a draw is a call of the kernel, and there is one a run."""
        drawn = secrets.token_hex(_NAME_BYTES * len(fields(cls)))
        digits = 2 * _NAME_BYTES
        return cls(*(f"_{drawn[start : start + digits]}" for start in range(0, len(drawn), digits)))


_ANY = Names.unguessable()
"""Stands for a run's names in a source that is kept for the next run; unguessable as well, so no code contains it."""


def calls_together(source: str) -> bool:
    """Whether operator calls may run beside each other; without this module's name there is no way to ask for it.

    Where they can't, the interpreter waits for each: half the messages of a call that is started and then awaited.
    """
    return "asyncio" in source


def guarded(source: str, names: Names, limits: Limits) -> str:
    """``source`` behind the functions that it may call, and its last expression made plain.

    Monty gets what this Python has parsed, so that both agree on which expression is the last. Code that only Monty can
    parse (syntax of a newer Python) runs and prints, but has no value.
    """
    text = _guarded(source, limits.max_output_chars)
    for each in fields(Names):
        text = text.replace(getattr(_ANY, each.name), getattr(names, each.name))
    return text


@lru_cache(maxsize=256)  # a workflow runs on many problems, and translating it takes longer than a run
def _guarded(source: str, chars: int) -> str:
    names = _ANY
    guard = _GUARD.format(
        plain=names.plain,
        call=CALL,
        awaited="await " if calls_together(source) else "",
        outer_call=names.call,
        host_call=HOST_CALL,
        outer_host_call=names.host_call,
        parts=MAX_PARTS,
        text=MAX_TEXT,
        items=MAX_ITEMS,
        nesting=MAX_NESTING,
    )
    try:
        return guard + _with_plain_value(ast.parse(source), names, chars)
    except UNPARSABLE:
        return f"{guard}{source}\n\nNone\n"


def _with_plain_value(tree: ast.Module, names: Names, chars: int) -> str:
    last = tree.body[-1] if tree.body else None
    if not isinstance(last, ast.Expr):
        return ast.unparse(tree)
    tree.body[-1] = ast.Assign([ast.Name(names.value, ast.Store())], last.value, lineno=0)
    return f"{ast.unparse(tree)}\n{names.plain}({names.value}, {chars})\n"


def written_by_the_author(lines: list[tuple[int, str]], names: Names) -> str | None:
    """Of the numbered lines of a traceback, innermost last, the last one that the code's author wrote."""
    ours = (CALL, names.plain)
    own = [line for number, line in lines if number > _GUARD.count("\n") and not any(name in line for name in ours)]
    return own[-1].replace(f"{names.value} = ", "") if own else None
