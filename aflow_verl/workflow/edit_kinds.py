"""Which kind of change lies between two workflows, in few words, so that edits of one kind can be counted."""

from __future__ import annotations

import re
from collections import Counter

from aflow_verl.workflow.state import WorkflowState

_POSITION = re.compile(r":\d+")
_CALL = re.compile(r"\boperator\.(\w+)\(|\bself\.(\w+)\(")
_EDIT_KEY = re.compile(r"^[a-z_]+(:[\w ]+)*$")


def edit_kind(before: WorkflowState, after: WorkflowState, action: str) -> str:
    """The edit without its position, for a key of the ``edit`` format; else what changed: operators that the code
    makes more or less of, its prompts, or its code alone."""
    if _EDIT_KEY.match(action) and ":" in action:
        return _POSITION.sub("", action, count=1).replace(":", " ").replace("_", " ")
    old, new = _operators(before.code), _operators(after.code)
    more, less = sorted((new - old).keys()), sorted((old - new).keys())
    if more or less:
        words = [f"adds {name}" for name in more] + [f"removes {name}" for name in less]
        return ", ".join(words)
    calls = sum(_calls(after.code).values()) - sum(_calls(before.code).values())
    if calls:
        return "more calls of its operators" if calls > 0 else "fewer calls of its operators"
    return "changes a prompt" if before.prompts.strip() != after.prompts.strip() else "changes the code alone"


def _operators(code: str) -> Counter[str]:
    return Counter(match.group(1) for match in _CALL.finditer(code) if match.group(1))


def _calls(code: str) -> Counter[str]:
    return Counter(match.group(2) for match in _CALL.finditer(code) if match.group(2))
