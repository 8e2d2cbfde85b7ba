"""The ``code`` action format: a reply with ``<modification>``, ``<graph>`` and ``<prompt>`` becomes the next state.

Everything unusable is an InvalidAction with one of these kinds: ``no_fields`` (a field is missing or empty),
``too_long``, ``syntax``, ``no_workflow_class``, ``unsupported`` (Python that the interpreter lacks),
``unknown_operator``, ``unknown_prompt``, ``no_change``.
"""

from __future__ import annotations

import ast
import re
from dataclasses import replace

from aflow_verl.errors import InvalidAction
from aflow_verl.workflow.dialect import translate
from aflow_verl.workflow.graph_source import (
    UNPARSABLE,
    call_arguments,
    prompt_constants,
    strip_header,
    takes_entry_point,
    used_operators,
    used_prompts,
)
from aflow_verl.workflow.language import unsupported
from aflow_verl.workflow.state import WorkflowState

MAX_REPLY_CHARS = 20_000
MAX_MODIFICATION_CHARS = 400
_FIELDS = ("modification", "graph", "prompt")
_FENCE = re.compile(r"\A\s*```[\w+-]*[ \t]*\n(.*?)\n?[ \t]*```\s*\Z", re.S)


def parse_code_reply(text: str, parent: WorkflowState) -> tuple[WorkflowState, str]:
    """The child that a reply describes, and its modification in words (cut, one line).

    A reply without ``<prompt>`` keeps the parent's prompts. The modification joins the child's history; its score is
    unknown. Raises InvalidAction.
    """
    if len(text) > MAX_REPLY_CHARS:
        raise InvalidAction("too_long", f"the reply is longer than {MAX_REPLY_CHARS} characters")
    fields = _read_fields(text)
    for name in ("modification", "graph"):
        if not fields.get(name):
            raise InvalidAction("no_fields", f"the reply has no <{name}>")
    modification = " ".join(fields["modification"].split())[:MAX_MODIFICATION_CHARS]
    code, prompts = fields["graph"] + "\n", fields.get("prompt")
    prompts = parent.prompts if prompts is None else prompts + "\n" if prompts else ""
    check_graph(code, prompts, parent.operators, entry_point=takes_entry_point(parent.code))
    child = replace(parent, code=code, prompts=prompts, score=None, history=(*parent.history, modification))
    if child.hash == parent.hash:
        raise InvalidAction("no_change", "the workflow is the one it was made from")
    return child, modification


def _read_fields(text: str) -> dict[str, str]:
    """Field contents without code fences. A missing end tag ends at the next field, or at the end of the text."""
    fields: dict[str, str] = {}
    for name in _FIELDS:
        opening = re.search(rf"<{name}>", text, re.I)
        if opening is None:
            continue
        rest = text[opening.end() :]
        closing = re.search(rf"</{name}>|<(?:{'|'.join(_FIELDS)})>", rest, re.I)
        content = rest[: closing.start()] if closing else rest
        fenced = _FENCE.match(content)
        fields[name] = (fenced.group(1) if fenced else content).strip()
    return fields


def check_graph(code: str, prompts: str, operators: tuple[str, ...], *, entry_point: bool) -> None:
    """Raises InvalidAction for a workflow that can't run. ``entry_point``: it has to take the name of a function."""
    tree = _parse_graph(code)
    calls = [arguments for arguments in call_arguments(tree.body) if len(arguments.args) >= 2]
    if not calls or (entry_point and not takes_entry_point(code)):
        signature = "(self, problem, entry_point)" if entry_point else "(self, problem)"
        raise InvalidAction("no_workflow_class", f"the graph needs a class Workflow with async def __call__{signature}")
    lacking = unsupported(translate(tree))
    if lacking is not None:
        raise InvalidAction("unsupported", f"the interpreter that runs workflows has no {lacking}")
    for name in used_operators(tree):
        if name not in operators:
            raise InvalidAction("unknown_operator", f"no operator {name!r}; there are {', '.join(operators)}")
    used = sorted(used_prompts(code) or ())
    defined = _parse_prompts(prompts) if used else {}
    for name in used:
        if name not in defined:
            raise InvalidAction("unknown_prompt", f"prompt_custom.{name} is not defined in <prompt>")


def _parse_graph(code: str) -> ast.Module:
    try:
        return strip_header(code)
    except UNPARSABLE as error:
        raise InvalidAction("syntax", f"the graph is no Python: {_reason(error)}") from error


def _parse_prompts(prompts: str) -> dict[str, str]:
    try:
        return prompt_constants(prompts)
    except UNPARSABLE as error:
        raise InvalidAction("syntax", f"the prompt module is no Python: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f"{error.msg} (line {error.lineno})"
    return str(error) or "too deeply nested"
