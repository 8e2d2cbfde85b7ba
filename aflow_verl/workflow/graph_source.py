"""A workflow's Python source: AFlow's import header, what is cosmetic in it, and its prompt constants.

AFlow writes a workflow as two modules, ``graph.py`` (class ``Workflow`` below an import header that names the folders
of one run) and ``prompt.py`` (``NAME = "text"`` constants, imported as ``prompt_custom``). The header says nothing
about the workflow: here it is dropped, and whoever runs the code supplies ``operator``, ``prompt_custom`` and
``create_llm_instance``. Facts: the AFlow repository, ``scripts/optimizer_utils`` and ``workspace``.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping

SUPPLIED_NAMES = frozenset({"operator", "prompt_custom", "create_llm_instance"})
"""Names that a graph uses without defining them: the runner binds them."""

UNPARSABLE = (SyntaxError, ValueError, RecursionError, MemoryError)
"""What ``ast.parse`` and ``ast.unparse`` raise for text that is no program, or too deep a one."""

_HEADER_ROOTS = frozenset({"metagpt", "scripts", "workspace", "typing", "typing_extensions", "__future__"})
_HEADER_NAMES = SUPPLIED_NAMES | {"DatasetType", "CostManager"}


def is_header(node: ast.stmt) -> bool:
    """True for a statement of AFlow's import header: its imports, and ``DatasetType = Literal[...]``."""
    if isinstance(node, ast.ImportFrom):
        root = (node.module or "").split(".")[0]
        return root in _HEADER_ROOTS or all((alias.asname or alias.name) in _HEADER_NAMES for alias in node.names)
    if isinstance(node, ast.Import):
        return all(
            alias.name.split(".")[0] in _HEADER_ROOTS or (alias.asname or "") in _HEADER_NAMES for alias in node.names
        )
    return (
        isinstance(node, ast.Assign)
        and len(node.targets) == 1
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id == "DatasetType"
    )


class _Cosmetics(ast.NodeTransformer):
    """Removes what never changes a run: docstrings, annotations, and lone string statements."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            return None
        self.generic_visit(node)
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt | None:
        self.generic_visit(node)
        if node.value is None:
            return None
        return ast.copy_location(ast.Assign(targets=[node.target], value=node.value), node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.stmt:
        node.returns = None
        self.generic_visit(node)
        node.body = node.body or [ast.Pass()]
        return node

    visit_FunctionDef = _function
    visit_AsyncFunctionDef = _function

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        self.generic_visit(node)
        node.body = node.body or [ast.Pass()]
        return node


def strip_source(code: str) -> ast.Module:
    """``code`` without header, docstrings, annotations and comments. Raises UNPARSABLE."""
    tree = ast.parse(code)
    tree.body = [node for node in tree.body if not is_header(node)]
    tree = _Cosmetics().visit(tree)
    return ast.fix_missing_locations(tree)


def normalize_code(code: str) -> str:
    """One text for all spellings of the same program; stripped text where the code doesn't parse."""
    try:
        return ast.unparse(strip_source(code))
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


def used_prompts(code: str) -> frozenset[str] | None:
    """NAMEs of ``prompt_custom.NAME`` in ``code``; None if that can't be told (bare use of the module, no parse)."""
    try:
        tree = ast.parse(code)
    except UNPARSABLE:
        return None
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and _is_prompt_module(node.value)]
    mentions = sum(_is_prompt_module(node) for node in ast.walk(tree))
    return frozenset(node.attr for node in attributes) if mentions == len(attributes) else None


def used_operators(tree: ast.Module) -> list[str]:
    """The names of all ``operator.NAME`` in a module, sorted."""
    attributes = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute))
    return sorted(
        {node.attr for node in attributes if isinstance(node.value, ast.Name) and node.value.id == "operator"}
    )


def _is_prompt_module(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "prompt_custom"


def write_prompts(constants: Mapping[str, str]) -> str:
    """A prompt module with these constants, sorted by name; empty for none."""
    return "".join(f"{name} = {text!r}\n" for name, text in sorted(constants.items()))


def with_header(code: str, dataset: str, round_name: str) -> str:
    """``code`` below the import header that AFlow's loader expects in ``workspace/<dataset>/workflows/<round>``."""
    folder = f"workspace.{dataset}.workflows"
    return (
        f"import {folder}.template.operator as operator\n"
        f"import {folder}.{round_name}.prompt as prompt_custom\n"
        "from scripts.async_llm import create_llm_instance\n\n\n" + code.strip() + "\n"
    )
