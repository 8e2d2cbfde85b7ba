"""A workflow's Python source: AFlow's import header, what is cosmetic in it, and its prompt constants.

AFlow writes a workflow as two modules, ``graph.py`` (class ``Workflow`` below an import header that names the folders
of one run) and ``prompt.py`` (``NAME = "text"`` constants, imported as ``prompt_custom``). The header says nothing
about the workflow: here it is dropped, and whoever runs the code supplies ``operator``, ``prompt_custom`` and
``create_llm_instance``. Facts: the AFlow repository, ``scripts/optimizer_utils`` and ``workspace``.

There are two forms of a graph without header: ``strip_header`` is what is run, and ``normalize_code`` is what is
hashed, in which cosmetic differences are gone as well.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

SUPPLIED_NAMES = frozenset({"operator", "prompt_custom", "create_llm_instance", "CostManager", "logger"})
"""Names that a graph uses without defining them: the runner binds them."""

UNPARSABLE = (SyntaxError, ValueError, RecursionError, MemoryError)
"""What ``ast.parse`` and ``ast.unparse`` raise for text that is no program, or too deep a one."""

_TYPING = frozenset({"typing", "typing_extensions"})
_HEADER_ROOTS = frozenset({"metagpt", "scripts", "workspace", "__future__"})
_HEADER_NAMES = SUPPLIED_NAMES | {"DatasetType", "AsyncLLM", "LLMConfig"}


def is_header(node: ast.stmt) -> bool:
    """True for a statement of AFlow's import header: its imports, and ``DatasetType = Literal[...]``.

    Imports for annotations are part of it as well: see ``strip_header`` for those that a run needs.
    """
    if isinstance(node, ast.ImportFrom):
        root = (node.module or "").split(".")[0]
        known = root in _HEADER_ROOTS or root in _TYPING
        return known or all((alias.asname or alias.name) in _HEADER_NAMES for alias in node.names)
    if isinstance(node, ast.Import):
        roots = _HEADER_ROOTS | _TYPING
        return all(alias.name.split(".")[0] in roots or (alias.asname or "") in _HEADER_NAMES for alias in node.names)
    return (
        isinstance(node, ast.Assign)
        and len(node.targets) == 1
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id == "DatasetType"
    )


def strip_header(code: str) -> ast.Module:
    """``code`` as it is run: without its header. Raises UNPARSABLE.

    Of what it imports from ``typing`` that stays which is used beyond annotations, such as ``cast``.
    """
    tree = ast.parse(code)
    body = [node for node in tree.body if not is_header(node)]
    used = frozenset(name for node in body for name in _evaluated_names(node))
    imports = [kept for node in tree.body if is_header(node) for kept in _typing_imports(node, used)]
    tree.body = [*imports, *body]
    return tree


def _typing_imports(node: ast.stmt, used: frozenset[str]) -> Iterator[ast.stmt]:
    """What an import of the header brings from ``typing`` under a name that is ``used``."""
    if not isinstance(node, ast.Import | ast.ImportFrom):
        return
    names = [alias for alias in node.names if (alias.asname or alias.name) in used or alias.name == "*"]
    if isinstance(node, ast.ImportFrom):
        if node.module in _TYPING and names:
            yield ast.ImportFrom(module="typing", names=names, level=0)
    elif names := [alias for alias in names if alias.name in _TYPING]:
        yield ast.Import(names=names)


def _evaluated_names(node: ast.AST) -> Iterator[str]:
    """Names that are looked up when the code runs: all but those in annotations."""
    if isinstance(node, ast.Name):
        yield node.id
    for field, value in ast.iter_fields(node):
        if field not in ("annotation", "returns"):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from _evaluated_names(child)


class _Cosmetics(ast.NodeTransformer):
    """Removes what never changes a run: docstrings, annotations, and lone string statements.

    The result is valid code. Annotations in a class body stay, since they make the fields of a dataclass.
    """

    def generic_visit(self, node: ast.AST) -> ast.AST:
        filled = [name for name in ("body", "orelse", "finalbody") if getattr(node, name, None)]
        super().generic_visit(node)
        for name in filled:
            if not getattr(node, name) and not isinstance(node, ast.Module):
                setattr(node, name, [ast.Pass()])
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            return None
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        self.generic_visit(node)
        if node.value is None:
            return None
        return ast.copy_location(ast.Assign(targets=[node.target], value=node.value), node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        members = [member if isinstance(member, ast.AnnAssign) else self.visit(member) for member in node.body]
        node.body = [member for member in members if member is not None] or [ast.Pass()]
        return node


def normal_tree(code: str) -> ast.Module:
    """``code`` without header, docstrings, annotations and comments; valid, but not what is run. Raises UNPARSABLE."""
    tree = ast.parse(code)
    tree.body = [node for node in tree.body if not is_header(node)]
    tree = _Cosmetics().visit(tree)
    return ast.fix_missing_locations(tree)


def normalize_code(code: str) -> str:
    """One text for all spellings of the same program; stripped text where the code doesn't parse."""
    try:
        return ast.unparse(normal_tree(code))
    except UNPARSABLE:
        return code.strip()


def prompt_constants(prompts: str) -> dict[str, str]:
    """The ``NAME = "text"`` constants of a prompt module, later ones winning; anything else in it is ignored.

    Raises UNPARSABLE if the module doesn't parse.
    """
    constants: dict[str, str] = {}
    for node in ast.parse(prompts).body:
        if not isinstance(node, ast.Assign):
            continue
        try:
            value = ast.literal_eval(node.value)
        except (ValueError, TypeError, SyntaxError):
            continue
        if isinstance(value, str):
            constants.update({target.id: value for target in node.targets if isinstance(target, ast.Name)})
    return constants


@lru_cache(maxsize=256)  # asked when a reply is read, and again for the hash
def used_prompts(code: str) -> frozenset[str] | None:
    """NAMEs of ``prompt_custom.NAME`` in ``code``; None if that can't be told (bare use of the module, no parse)."""
    try:
        tree = ast.parse(code)
    except UNPARSABLE:
        return None
    nodes = list(ast.walk(tree))
    attributes = [node for node in nodes if isinstance(node, ast.Attribute) and _is_prompt_module(node.value)]
    mentions = sum(map(_is_prompt_module, nodes))
    return frozenset(node.attr for node in attributes) if mentions == len(attributes) else None


def used_operators(tree: ast.Module) -> list[str]:
    """The names of all ``operator.NAME`` in a module, sorted."""
    attributes = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute))
    return sorted(
        {node.attr for node in attributes if isinstance(node.value, ast.Name) and node.value.id == "operator"}
    )


@lru_cache(maxsize=256)  # asked for every edit of a workflow
def takes_entry_point(code: str) -> bool:
    """Whether ``Workflow.__call__`` takes a second argument, as AFlow's graphs for code tasks do."""
    try:
        body = ast.parse(code).body
    except UNPARSABLE:
        return False
    return any(len(arguments.args) > 2 or arguments.vararg is not None for arguments in call_arguments(body))


def call_arguments(body: Iterable[ast.stmt]) -> list[ast.arguments]:
    """The parameters of ``async def __call__`` of the top-level class ``Workflow``; empty without one."""
    return [
        method.args
        for node in body
        if isinstance(node, ast.ClassDef) and node.name == "Workflow"
        for method in node.body
        if isinstance(method, ast.AsyncFunctionDef) and method.name == "__call__"
    ]


def _is_prompt_module(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "prompt_custom"


def write_prompts(constants: Mapping[str, str]) -> str:
    """A prompt module with these constants, sorted by name; empty for none."""
    return "".join(f"{name} = {text!r}\n" for name, text in sorted(constants.items()))


def with_header(code: str, dataset: str, round_name: str) -> str:
    """``code`` below the import header that AFlow's loader expects in ``workspace/<dataset>/workflows/<round>``.

    A header that it has already is replaced; imports from ``typing`` stay.
    """
    folder = f"workspace.{dataset}.workflows"
    return (
        f"import {folder}.template.operator as operator\n"
        f"import {folder}.{round_name}.prompt as prompt_custom\n"
        "from scripts.async_llm import create_llm_instance\n"
        "from scripts.evaluator import DatasetType\n\n\n" + _without_header(code).strip() + "\n"
    )


def _without_header(code: str) -> str:
    """The text without the lines of its header, comments kept; all of it where it doesn't parse."""
    try:
        body = ast.parse(code).body
    except UNPARSABLE:
        return code
    header = [node for node in body if is_header(node) and not list(_typing_imports(node, _imported_names(node)))]
    dropped = {line for node in header for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)}
    dropped -= {node.lineno for node in body if node not in header}
    return "\n".join(line for number, line in enumerate(code.splitlines(), start=1) if number not in dropped)


def _imported_names(node: ast.stmt) -> frozenset[str]:
    names = node.names if isinstance(node, ast.Import | ast.ImportFrom) else []
    return frozenset(alias.asname or alias.name for alias in names)
