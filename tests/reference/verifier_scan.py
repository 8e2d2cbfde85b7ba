"""Which verifiers of reasoning-gym do nothing to an answer but compare, split and convert it: read from its source.

A verifier is ``score_answer`` and every function of the package that it can reach. It passes if each name it looks up
is a local one, a function or class of the package (which is read in turn), a harmless builtin or a harmless library;
and each method it calls is one of plain data, or is a method in the package (all of that name are read). Everything
not known to be harmless fails, so the scan errs towards refusing.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from types import FunctionType, ModuleType

PACKAGE = "reasoning_gym"
LOADED_LATER = "reasoning_gym.games.contrib.sokoban"
"""Imported when its task is first made, and used by no other; left out so that the scan doesn't depend on that."""
LIBRARIES = frozenset(
    {"re", "json", "math", "string", "typing", "collections", "itertools", "datetime", "calendar", "enum", "builtins"}
    | {"dataclasses", "copy", "heapq", "functools", "random", "abc", "decimal", "_heapq", "_functools"}
)
"""Modules in which no function evaluates a text as code."""
FUNCTIONS = frozenset({"np.round", "np.abs", "np.array", "np.isclose", "np.array_equal", "np.all"})
"""Functions of other modules of which the same is known."""
BUILTINS = frozenset(vars(builtins)) - frozenset(
    {"eval", "exec", "compile", "__import__", "open", "input", "breakpoint", "globals", "locals", "vars", "getattr"}
    | {"setattr", "delattr", "help", "__builtins__", "__loader__", "__spec__"}
)
CONSTANTS = (int, float, str, bytes, list, dict, set, tuple, frozenset, type(None))
METHODS = frozenset(
    name
    for kind in (str, list, dict, set, tuple, int, float, complex, Decimal, date, datetime, re.Pattern, re.Match)
    for name in dir(kind)
    if not name.startswith("_")
)
"""Methods of plain data. Methods of the package with such a name are read all the same."""
DUNDERS = frozenset({"__init__", "__name__", "__class__", "__len__"})


def harmful(dataset_class: type) -> str | None:
    """The first thing in the verifier of a dataset class that is not known to be harmless; None if there is none."""
    return _Scan(dataset_class).run()


class _Scan:
    """Reads functions until none is left, or one does something that is not known to be harmless."""

    def __init__(self, dataset_class: type) -> None:
        self.dataset_class = dataset_class
        self.seen: set[FunctionType] = set()
        self.queue: list[FunctionType] = [dataset_class.score_answer]  # type: ignore[attr-defined]

    def run(self) -> str | None:
        while self.queue:
            function = self.queue.pop()
            if function not in self.seen:
                self.seen.add(function)
                for problem in self._function(function):
                    return f"{function.__qualname__} {problem}"
        return None

    def _function(self, function: FunctionType) -> Iterator[str]:
        try:
            tree = _without_annotations(ast.parse(textwrap.dedent(inspect.getsource(function))))
        except (OSError, SyntaxError):
            yield "has no source"
            return
        local = _local_names(tree)
        callable_local = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                root = (node.names[0].name if isinstance(node, ast.Import) else node.module or "").split(".")[0]
                if root not in LIBRARIES:
                    yield f"imports {root}"
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id not in local:
                yield from self._name(node.id, function)
            elif isinstance(node, ast.Attribute):
                yield from self._attribute(node, local, function)
            elif isinstance(node, ast.Call):
                yield from self._call(node.func, local - callable_local)

    def _call(self, called: ast.expr, local: set[str]) -> Iterator[str]:
        """Names and attributes are looked at where they stand; anything else that is called is unknown."""
        if isinstance(called, ast.Name):
            if called.id in local and called.id not in ("cls",):
                yield f"calls the variable {called.id}"
        elif isinstance(called, ast.Attribute):
            if called.attr not in METHODS and not _methods_named(called.attr) and not _is_global(called.value, local):
                yield f"calls .{called.attr}()"
        else:
            yield f"calls {ast.unparse(called)}"

    def _name(self, name: str, function: FunctionType) -> Iterator[str]:
        if name in vars(sys.modules[function.__module__]):
            yield from self._value(name, vars(sys.modules[function.__module__])[name])
        elif name not in BUILTINS:
            yield f"uses {name}"

    def _value(self, name: str, value: object) -> Iterator[str]:
        """What a global name stands for. Functions and constructors of the package are read in turn."""
        if isinstance(value, ModuleType):
            return  # what is taken out of it is looked at there
        home = str(getattr(value, "__module__", None))
        if home.split(".")[0] == PACKAGE:
            made = vars(value).get("__init__") if isinstance(value, type) else value
            # The constructor of a dataclass is generated: it has no source and only assigns.
            if isinstance(made, FunctionType) and "__dataclass_fields__" not in vars(value):
                self.queue.append(made)
        elif not (isinstance(value, CONSTANTS) or home.split(".")[0] in LIBRARIES or name in FUNCTIONS):
            yield f"uses {name}"

    def _attribute(self, node: ast.Attribute, local: set[str], function: FunctionType) -> Iterator[str]:
        owner = node.value
        if node.attr.startswith("__") and node.attr not in DUNDERS:
            yield f"reads .{node.attr}"
        elif isinstance(owner, ast.Name) and owner.id == "self" and hasattr(self.dataset_class, node.attr):
            self.queue += _plain(inspect.getattr_static(self.dataset_class, node.attr))
        elif isinstance(owner, ast.Name) and _is_global(owner, local):
            module = vars(sys.modules[function.__module__]).get(owner.id)
            if isinstance(module, ModuleType):
                yield from self._value(f"{owner.id}.{node.attr}", getattr(module, node.attr))
                return
        self.queue += _methods_named(node.attr)


def _without_annotations(tree: ast.Module) -> ast.Module:
    """Annotations and decorators are looked up when a function is made, not when it runs."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.returns, node.decorator_list = None, []
        elif isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
    return tree


def _local_names(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.ExceptHandler) and node.name:
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    return names


def _is_global(owner: ast.expr, local: set[str]) -> bool:
    return isinstance(owner, ast.Name) and owner.id not in local


def _methods_named(name: str) -> list[FunctionType]:
    """All methods and properties of that name in the classes of the package."""
    return _methods().get(name, [])


@cache
def _methods() -> dict[str, list[FunctionType]]:
    methods: dict[str, list[FunctionType]] = {}
    for module_name, module in list(sys.modules.items()):
        if module_name.split(".")[0] == PACKAGE and not module_name.startswith(LOADED_LATER):
            for kind in vars(module).values():
                if isinstance(kind, type) and kind.__module__ == module_name:
                    for name, value in vars(kind).items():
                        methods.setdefault(name, []).extend(_plain(value))
    return methods


def _plain(value: object) -> list[FunctionType]:
    """The function behind a method or property; none behind a mere value."""
    if isinstance(value, staticmethod | classmethod):
        value = value.__func__
    elif isinstance(value, property):
        value = value.fget
    return [value] if isinstance(value, FunctionType) else []
