"""The part of Python that workflow code may use: what the sandbox's interpreter (pydantic-monty 1.4) understands.

Checked before a workflow is run, so that the policy gets a readable reason instead of a failure on every problem. The
module checked is the translated one (``dialect``). A test holds this list against the interpreter itself.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

MODULES = frozenset(
    {"asyncio", "base64", "binascii", "bisect", "collections", "copy", "csv", "dataclasses", "datetime", "decimal"}
    | {"functools", "hashlib", "itertools", "json", "math", "random", "re", "time", "tomllib", "typing", "unicodedata"}
)
"""Modules that a workflow can import. (``os``, ``sys`` and ``pathlib`` load too, but are denied nearly everything.)"""

TYPING = frozenset(
    {"Annotated", "Any", "Callable", "ClassVar", "Dict", "Final", "Generic", "Iterable", "List", "Literal", "Mapping"}
    | {"NoReturn", "Optional", "Protocol", "Self", "Sequence", "Set", "TYPE_CHECKING", "Tuple", "Type", "TypeVar"}
    | {"Union"}
)
"""What can be taken out of ``typing``; only names that are used beyond annotations matter."""

_NODES: dict[type[ast.AST], str] = {
    ast.Yield: "generators (yield)",
    ast.YieldFrom: "generators (yield)",
    ast.Delete: "del",
    ast.AsyncFor: "async for",
    ast.AsyncWith: "async with",
    ast.TryStar: "except*",
}
_FUNCTIONS = frozenset({"super", "globals", "__import__", "input"})
_ASYNCIO = frozenset({"gather", "run", "sleep"})
_CLASS_BODY = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Assign, ast.AnnAssign, ast.Pass, ast.Expr)


def unsupported(tree: ast.Module) -> str | None:
    """The first thing in a header-free module that the interpreter lacks, as words for a sentence; None if nothing."""
    return next(_findings(tree), None)


def _findings(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if type(node) in _NODES:
            yield _NODES[type(node)]
        elif isinstance(node, ast.ClassDef):
            yield from _class_findings(node)
        elif isinstance(node, ast.comprehension) and node.is_async:
            yield "async comprehensions"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS:
            yield f"{node.func.id}()"
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "asyncio":
            yield from () if node.attr in _ASYNCIO else (f"asyncio.{node.attr}",)
        elif isinstance(node, ast.Import):
            yield from (f"the module {alias.name}" for alias in node.names if alias.name.split(".")[0] not in MODULES)
        elif isinstance(node, ast.ImportFrom):
            yield from _import_findings(node)


def _class_findings(node: ast.ClassDef) -> Iterator[str]:
    if node.bases or node.keywords:
        yield "class inheritance"
    for member in node.body:
        if isinstance(member, ast.ClassDef):
            yield "nested classes"
        elif not isinstance(member, _CLASS_BODY):
            yield "statements in a class body"
        elif isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef) and member.decorator_list:
            yield "method decorators"


def _import_findings(node: ast.ImportFrom) -> Iterator[str]:
    if node.level or (node.module or "").split(".")[0] not in MODULES:
        yield f"the module {'.' * node.level}{node.module or ''}"
    elif any(alias.name == "*" for alias in node.names):
        yield "from ... import *"
    elif node.module == "typing":
        yield from (f"typing.{alias.name}" for alias in node.names if alias.name not in TYPING)
