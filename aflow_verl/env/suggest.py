"""The ``suggest`` action format: the policy says in words what to change, and an editor model writes the code.

For policies that see what a workflow lacks but can't write one. The editor is any client of ``models``; who makes the
format injects it, so that the process with the API keys can be another one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from aflow_verl.env.actions import NO_CONTEXT, Action, Context, Offer, free_offer
from aflow_verl.errors import InvalidAction
from aflow_verl.types import Message, OperatorInfo
from aflow_verl.workflow.parse import MAX_MODIFICATION_CHARS, parse_code_reply
from aflow_verl.workflow.render import editor_prompt, suggest_prompt
from aflow_verl.workflow.state import WorkflowState

Write = Callable[[list[Message]], Awaitable[str]]
"""One reply of the editor. Raises InvalidAction for a prompt that it can't take, ModelUnavailable where it is down."""

EDITOR = "editor_"
"""Kinds of invalid actions that are the editor's doing begin with it."""


class SuggestFormat:
    """See the module's docstring."""

    restricted = False

    def __init__(self, operators: Sequence[OperatorInfo], task: str, write: Write) -> None:
        self._operators = tuple(operators)
        self._task = task
        self._write = write

    def offer(self, state: WorkflowState, tried: frozenset[str], context: Context = NO_CONTEXT) -> Offer:
        return free_offer(
            lambda logs: suggest_prompt(
                state,
                self._operators,
                task=self._task,
                experience=context.experience,
                lessons=[lesson.line for lesson in context.lessons],
                logs=logs,
            ),
            context.logs,
        )

    async def read(self, state: WorkflowState, reply: str) -> Action:
        """The modification in the policy's words, and the workflow that the editor makes of it.

        A reply without words is ``no_fields``. What the editor writes is read like a ``code`` reply; where it is
        unusable, the action fails with the kind of that, such as ``editor_syntax``.
        """
        words = " ".join(reply.split())[:MAX_MODIFICATION_CHARS]
        if not words:
            raise InvalidAction("no_fields", "the reply names no modification")
        try:
            written = await self._write(editor_prompt(state, self._operators, words, task=self._task))
            child, _ = parse_code_reply(written, state)
        except InvalidAction as unusable:
            return Action(words, None, InvalidAction(EDITOR + unusable.kind, f"the editor: {unusable}"))
        return Action(words, replace(child, history=(*state.history, words)))

    def can_expand(self, state: WorkflowState, tried: frozenset[str]) -> bool:
        return True

    def reply_of(self, state: WorkflowState, key: str) -> str | None:
        return None
