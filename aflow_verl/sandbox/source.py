"""Turns a workflow or a program into the one module that the interpreter is fed.

A workflow's import header is dropped and what it would have imported stands in front of the class instead:
``operator`` (each class calls out to the host), ``prompt_custom``, ``create_llm_instance``, and the cost managers of
AFlow graphs. The code itself is run as it was written, but for what ``workflow.dialect`` rewrites.
"""

from __future__ import annotations

import ast
from functools import lru_cache

from aflow_verl.sandbox.prelude import HELPERS, MODEL, OPERATOR
from aflow_verl.workflow.dialect import helpers, translate
from aflow_verl.workflow.graph_source import UNPARSABLE, prompt_constants, strip_header, used_operators

PROBLEM = "_problem"
ENTRY_POINT = "_entry_point"
DATASET = "_dataset"
POSITIONAL = "*"
"""The host gets the positional arguments of an operator call under this key, beside the named ones."""
MAX_SOURCE_CHARS = 100_000


@lru_cache(maxsize=256)  # a workflow is run on many problems
def workflow_source(code: str, prompts: str, *, with_entry_point: bool) -> str:
    """The module whose last expression runs ``Workflow`` on the inputs PROBLEM, DATASET (and ENTRY_POINT).

    Raises UNPARSABLE for code or prompts that don't parse or are too long.
    """
    if len(code) + len(prompts) > MAX_SOURCE_CHARS:
        raise ValueError(f"the workflow is longer than {MAX_SOURCE_CHARS} characters")
    tree = translate(strip_header(code))
    names = used_operators(tree)
    used = helpers(tree)
    needed = dict.fromkeys(source for name, source in HELPERS.items() if name in used)
    arguments = f"{PROBLEM}, {ENTRY_POINT}" if with_entry_point else PROBLEM
    return "\n".join(
        [
            MODEL,
            *needed,
            *(OPERATOR.format(name=name) for name in names),
            _namespace("operator", {name: f"_Operator_{name}" for name in names}),
            _namespace("prompt_custom", {name: repr(text) for name, text in prompt_constants(prompts).items()}),
            ast.unparse(tree),
            f"await Workflow(name={DATASET}, llm_config={{}}, dataset={DATASET})({arguments})",
        ]
    )


def _namespace(name: str, members: dict[str, str]) -> str:
    body = "\n".join(f"    {member} = {value}" for member, value in members.items())
    return f"class {name}:\n{body or '    pass'}\n"


def program_source(code: str) -> str:
    """``code`` with a value at its end: its last expression, else ``solve()`` if it defines that, else what it assigns.

    Code that this Python can't parse is left as it is: the interpreter then says what is wrong with it.
    """
    if len(code) > MAX_SOURCE_CHARS:
        raise ValueError(f"the program is longer than {MAX_SOURCE_CHARS} characters")
    try:
        body = ast.parse(code).body
    except UNPARSABLE:
        return code
    if not body or isinstance(body[-1], ast.Expr):
        return code
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == "solve" and not _needs(node.args):
            return code + ("\nsolve()\n" if isinstance(node, ast.FunctionDef) else "\nawait solve()\n")
    last = body[-1]
    if isinstance(last, ast.Assign) and isinstance(last.targets[0], ast.Name):
        return f"{code}\n{last.targets[0].id}\n"
    return code


def _needs(arguments: ast.arguments) -> bool:
    """Whether a function has parameters without a default."""
    positional = len(arguments.posonlyargs) + len(arguments.args)
    return positional > len(arguments.defaults) or any(default is None for default in arguments.kw_defaults)
