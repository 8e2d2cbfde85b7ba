"""Python as graphs are written -> Python as the interpreter understands it (pydantic-monty 1.4).

Language models write idioms that the interpreter lacks. Those that have an equal form are rewritten here; what is left
is refused by ``language.unsupported``. Rewritten are: names of the standard library that are missing (``SUPPLIED``
says by what), ``class C(object)``, static methods, ``del x`` and ``del x[i]``, ``float.is_integer``, generator
expressions that are kept or given to ``next``, and methods handed over without a call (``key=counts.get``).

Tasks of asyncio start when they are awaited, ``wait_for`` never times out (the caller bounds a run), and loggers are
silent. Nothing else differs from CPython.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

SUPPLIED: Mapping[str, Mapping[str, str]] = {
    "ast": {"literal_eval": "_literal_eval"},
    "asyncio": {
        "TimeoutError": "TimeoutError",
        "create_task": "_create_task",
        "ensure_future": "_create_task",
        "gather": "_gather",
        "wait_for": "_wait_for",
    },
    "logging": {
        "getLogger": "_get_logger",
        **dict.fromkeys(("basicConfig", "debug", "info", "warning", "error", "exception"), "_ignore"),
        **dict.fromkeys(("DEBUG", "INFO", "WARNING", "ERROR"), "_LEVEL"),
    },
    "re": {"sub": "_re_sub"},
    "statistics": {name: f"_{name}" for name in ("mean", "fmean", "median", "mode", "multimode", "stdev")},
    "string": {
        name: f"_{name}" for name in ("ascii_letters", "ascii_lowercase", "ascii_uppercase", "digits", "punctuation")
    },
    "traceback": {"format_exc": "_format_exc", "print_exc": "_ignore"},
    "typing": {"cast": "_cast"},
}
"""Module -> name in it -> the helper that takes its place; ``sandbox.prelude`` defines the helpers."""

_PARTLY_THERE = frozenset({"asyncio", "re", "typing"})
"""Modules that the interpreter has, without the names above; of the others it has nothing."""


def translate(tree: ast.Module) -> ast.Module:
    """A header-free module in the interpreter's dialect. Changes ``tree``."""
    modules = dict(_module_names(tree))
    for name, used in _attributes(tree, modules).items():
        if modules[name] not in _PARTLY_THERE and not used <= set(SUPPLIED[modules[name]]):
            del modules[name]  # its import stays, to be refused by name
    return ast.fix_missing_locations(_Translator(modules, dict(_static_methods(tree))).visit(tree))


def helpers(tree: ast.Module) -> frozenset[str]:
    """The names that a translated module looks up and may need to be supplied with."""
    return frozenset(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))


def _module_names(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """(name, module) of the imported modules that something is supplied for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.asname or alias.name, alias.name) for alias in node.names if alias.name in SUPPLIED)


def _attributes(tree: ast.Module, modules: Mapping[str, str]) -> dict[str, set[str]]:
    """Module name -> what is looked up in it."""
    used: dict[str, set[str]] = {name: set() for name in modules}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in used:
            used[node.value.id].add(node.attr)
    return used


def _static_methods(tree: ast.Module) -> Iterator[tuple[tuple[str, str], str]]:
    """(class, method) -> the function that it becomes."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            for member in node.body:
                if _is_static(member):
                    yield (node.name, member.name), f"_static_{node.name}_{member.name}"  # type: ignore[attr-defined]


def _is_static(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and [
        decorator.id for decorator in node.decorator_list if isinstance(decorator, ast.Name)
    ] == ["staticmethod"]


class _Translator(ast.NodeTransformer):
    def __init__(self, modules: Mapping[str, str], static: Mapping[tuple[str, str], str]) -> None:
        self._modules = modules
        self._static = static

    # ---- the standard library ---------------------------------------------------------------------------------------

    def visit_Import(self, node: ast.Import) -> ast.stmt:
        names = [alias for alias in node.names if not self._is_dropped(alias)]
        return ast.Import(names) if names else ast.Pass()

    def _is_dropped(self, alias: ast.alias) -> bool:
        return alias.name not in _PARTLY_THERE and (alias.asname or alias.name) in self._modules

    def visit_ImportFrom(self, node: ast.ImportFrom) -> list[ast.stmt]:
        supplied = SUPPLIED.get(node.module or "", {})
        others = [alias for alias in node.names if alias.name not in supplied]
        imports: list[ast.stmt] = [ast.ImportFrom(node.module, others, node.level)] if others else []
        return imports + [
            ast.Assign([ast.Name(alias.asname or alias.name, ast.Store())], _name(supplied[alias.name]))
            for alias in node.names
            if alias not in others
        ]

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if isinstance(node.value, ast.Name) and isinstance(node.ctx, ast.Load):
            helper = SUPPLIED.get(self._modules.get(node.value.id, ""), {}).get(node.attr)
            function = helper or self._static.get((node.value.id, node.attr))
            if function:
                return _name(function)
        self.generic_visit(node)
        return node

    # ---- expressions ------------------------------------------------------------------------------------------------

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.func, ast.Attribute) and node.func.attr == "is_integer" and not node.args:
            return ast.Call(_name("_is_integer"), [node.func.value], [])
        for keyword in node.keywords:
            if keyword.arg == "key":
                keyword.value = _callable(keyword.value)
        if isinstance(node.func, ast.Name) and node.args:
            if node.func.id in ("map", "filter"):
                node.args[0] = _callable(node.args[0])
            elif node.func.id == "next":
                node.args[0] = _iterator(node.args[0])
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.Assign:
        self.generic_visit(node)
        node.value = _iterator(node.value)
        return node

    # ---- statements -------------------------------------------------------------------------------------------------

    def visit_Delete(self, node: ast.Delete) -> list[ast.stmt]:
        self.generic_visit(node)
        return [_deletion(target) for target in node.targets]

    def visit_ClassDef(self, node: ast.ClassDef) -> list[ast.stmt]:
        node.bases = [base for base in node.bases if not (isinstance(base, ast.Name) and base.id == "object")]
        self.generic_visit(node)
        functions: list[ast.stmt] = []
        for index, member in enumerate(node.body):
            function = self._static.get((node.name, getattr(member, "name", "")))
            if function and isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef) and _is_static(member):
                text = f"def {member.name}(self, *args, **kwargs): return {function}(*args, **kwargs)"
                node.body[index] = ast.parse(text).body[0]
                member.name, member.decorator_list = function, []
                functions.append(member)
        return [*functions, node]


def _deletion(target: ast.expr) -> ast.stmt:
    if isinstance(target, ast.Name):
        return ast.Assign([ast.Name(target.id, ast.Store())], ast.Constant(None))
    if isinstance(target, ast.Subscript) and not isinstance(target.slice, ast.Slice):
        target.value.ctx = ast.Load()  # type: ignore[attr-defined]
        return ast.Expr(ast.Call(ast.Attribute(target.value, "pop", ast.Load()), [target.slice], []))
    return ast.Delete([target])


def _callable(value: ast.expr) -> ast.expr:
    """A method that is handed over, as a function that calls it: of builtin methods it knows calls only."""
    if not isinstance(value, ast.Attribute):
        return value
    if isinstance(value.value, ast.Name) and value.value.id in ("str", "list", "dict", "set"):
        return ast.parse(f"lambda _value, *args: _value.{value.attr}(*args)", mode="eval").body
    return ast.parse(f"lambda *args: ({ast.unparse(value.value)}).{value.attr}(*args)", mode="eval").body


def _iterator(value: ast.expr) -> ast.expr:
    """The interpreter makes a list of a generator expression; this makes an iterator of it again."""
    return ast.Call(_name("iter"), [value], []) if isinstance(value, ast.GeneratorExp) else value


def _name(identifier: str) -> ast.Name:
    return ast.Name(identifier, ast.Load())
