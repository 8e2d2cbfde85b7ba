"""Turns a workflow or a program into the one module that the interpreter is fed.

A workflow's import header is dropped and what it would have imported stands in front of the class instead:
``operator`` (each class calls out to the host), ``prompt_custom``, ``create_llm_instance``, and the cost manager of
older AFlow graphs. Costs are kept by the host, so inside the sandbox they read 0. The code itself is run as it was
written, but for ``typing.cast``, which the interpreter lacks and gets from here.
"""

from __future__ import annotations

import ast

from aflow_verl.workflow.graph_source import UNPARSABLE, prompt_constants, strip_header, used_operators

CALL = "_call_operator"
PROBLEM = "_problem"
ENTRY_POINT = "_entry_point"
DATASET = "_dataset"
CAST = "_cast"
POSITIONAL = "*"
"""The host gets the positional arguments of an operator call under this key, beside the named ones."""
MAX_SOURCE_CHARS = 100_000

_SUPPLIED = f"""\
class CostManager:
    def __init__(self):
        self.total_cost = 0.0

class _Model:
    def __init__(self):
        self.cost_manager = CostManager()
    async def __call__(self, prompt):
        return (await {CALL}("Custom", (), {{"input": prompt, "instruction": ""}}))["response"]
    def get_usage_summary(self):
        return {{"total_cost": 0.0, "total_tokens": 0, "total_input_tokens": 0, "total_output_tokens": 0}}

def create_llm_instance(llm_config=None):
    return _Model()

def {CAST}(kind, value):
    return value
"""

_OPERATOR = """\
class _Operator_{name}:
    def __init__(self, llm=None, name=None):
        self.llm = llm
    async def __call__(self, *args, **kwargs):
        return await {call}("{name}", args, kwargs)
"""


def workflow_source(code: str, prompts: str, *, with_entry_point: bool) -> str:
    """The module whose last expression runs ``Workflow`` on the inputs PROBLEM, DATASET (and ENTRY_POINT).

    Raises UNPARSABLE for code or prompts that don't parse or are too long.
    """
    if len(code) + len(prompts) > MAX_SOURCE_CHARS:
        raise ValueError(f"the workflow is longer than {MAX_SOURCE_CHARS} characters")
    tree = _Cast().visit(strip_header(code))
    names = used_operators(tree)
    arguments = f"{PROBLEM}, {ENTRY_POINT}" if with_entry_point else PROBLEM
    return "\n".join(
        [
            _SUPPLIED,
            *(_OPERATOR.format(name=name, call=CALL) for name in names),
            _namespace("operator", {name: f"_Operator_{name}" for name in names}),
            _namespace("prompt_custom", {name: repr(text) for name, text in prompt_constants(prompts).items()}),
            ast.unparse(ast.fix_missing_locations(tree)),
            f"await Workflow(name={DATASET}, llm_config={{}}, dataset={DATASET})({arguments})",
        ]
    )


class _Cast(ast.NodeTransformer):
    """``from typing import cast as c`` becomes ``c = _cast``."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> list[ast.stmt]:
        casts = [alias for alias in node.names if node.module == "typing" and alias.name == "cast"]
        others = [alias for alias in node.names if alias not in casts]
        imports: list[ast.stmt] = [ast.ImportFrom(node.module, others, node.level)] if others else []
        return imports + [
            ast.Assign([ast.Name(alias.asname or alias.name, ast.Store())], ast.Name(CAST, ast.Load()), lineno=0)
            for alias in casts
        ]


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
