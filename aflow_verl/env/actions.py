"""Action formats: what the policy is shown of a workflow, and what its reply does to it.

``edit`` and ``code`` are here; ``suggest``, which asks a second model, is in ``suggest``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from aflow_verl.errors import InvalidAction
from aflow_verl.search.lessons import Lesson
from aflow_verl.types import Message, OperatorInfo
from aflow_verl.workflow.edit_kinds import edit_kind
from aflow_verl.workflow.edits import STOP, Edit, EditSpace, apply_edit, legal_edits
from aflow_verl.workflow.labels import labels
from aflow_verl.workflow.parse import parse_code_reply
from aflow_verl.workflow.render import code_prompt, edit_prompt
from aflow_verl.workflow.state import WorkflowState


@dataclass(frozen=True)
class Offer:
    """A workflow as the policy sees it, and the replies it may give."""

    messages: list[Message]
    replies: tuple[str, ...] | None
    """Legal replies, one token each; None: free text."""
    shorter: tuple[list[Message], ...] = ()
    """The same with ever fewer failed problems, for a policy that can't read as much."""


@dataclass(frozen=True)
class Reply:
    """What came of an offer."""

    text: str
    log_prob: float | None = None
    """A policy's length-normalised log-probability of it; None where nobody can tell."""
    response_ids: tuple[int, ...] = ()
    """Its tokens for the policy, end of turn included; what the critic reads of a proposal."""


@dataclass(frozen=True)
class Action:
    """What a reply means."""

    key: str
    """Stable name of the action on this workflow: an edit key, or the modification in words."""
    child: WorkflowState | None
    """The workflow it makes; None: stop."""
    failure: InvalidAction | None = None
    """Why there is no such workflow, although the reply says what is wanted."""


@dataclass(frozen=True)
class Context:
    """What a prompt says beyond the workflow itself; frozen for the episode."""

    experience: tuple[str, ...] = ()
    """What was tried on this workflow, a line each."""
    logs: tuple[str, ...] = ()
    """Problems that it failed."""
    lessons: tuple[Lesson, ...] = ()
    """What kinds of edit did anywhere in the tree."""


NO_CONTEXT = Context()


class ActionFormat(Protocol):
    """How workflows are shown and replies read."""

    restricted: bool
    """Whether replies come from a finite set, so that decoding can be restricted to it."""

    def offer(self, state: WorkflowState, tried: frozenset[str], context: Context = NO_CONTEXT) -> Offer:
        """``state.score`` is shown where it is not None."""
        ...

    async def read(self, state: WorkflowState, reply: str) -> Action:
        """Raises InvalidAction for a reply that means nothing, InfrastructureError where a model behind it failed."""
        ...

    def can_expand(self, state: WorkflowState, tried: frozenset[str]) -> bool:
        """Whether something other than stopping is left to try."""
        ...

    def reply_of(self, state: WorkflowState, key: str) -> str | None:
        """The reply that takes the action ``key``; None where that can't be told from the key."""
        ...


class EditFormat:
    """Numbered legal edits; the reply is one label. For small models."""

    restricted = True

    def __init__(self, space: EditSpace, task: str) -> None:
        self._space = space
        self._task = task
        self._edits: dict[str, tuple[Edit, ...]] = {}

    def _legal(self, state: WorkflowState) -> tuple[Edit, ...]:
        if state.hash not in self._edits:
            self._edits[state.hash] = legal_edits(state, self._space)
        return self._edits[state.hash]

    def _labelled(self, state: WorkflowState) -> Mapping[str, Edit]:
        edits = self._legal(state)
        return dict(zip(labels(len(edits)), edits, strict=True))

    def offer(self, state: WorkflowState, tried: frozenset[str], context: Context = NO_CONTEXT) -> Offer:
        """Edits already tried on this node are not listed; the others keep their labels."""
        left = {label: edit for label, edit in self._labelled(state).items() if edit.key not in tried - {STOP.key}}
        known = {lesson.kind: lesson for lesson in context.lessons}
        kinds = ["" if edit.key == STOP.key else edit_kind(state, state, edit.key) for edit in left.values()]
        notes = [_note(known.get(kind)) for kind in kinds]
        messages = edit_prompt(state, tuple(left.values()), tuple(left), task=self._task, notes=notes)
        return Offer(messages, tuple(left))

    async def read(self, state: WorkflowState, reply: str) -> Action:
        edit = self._labelled(state).get(reply.strip())
        if edit is None:
            raise InvalidAction("illegal_label", f"{reply.strip()!r} is not the label of an edit of this workflow")
        return Action(edit.key, None if edit.key == STOP.key else apply_edit(state, edit.key, self._space))

    def can_expand(self, state: WorkflowState, tried: frozenset[str]) -> bool:
        return any(edit.key not in tried and edit.key != STOP.key for edit in self._legal(state))

    def reply_of(self, state: WorkflowState, key: str) -> str | None:
        return next((label for label, edit in self._labelled(state).items() if edit.key == key), None)


class CodeFormat:
    """AFlow's three fields, in free text. For models from a few billion parameters on."""

    restricted = False

    def __init__(self, operators: Sequence[OperatorInfo], task: str) -> None:
        self._operators = tuple(operators)
        self._task = task

    def offer(self, state: WorkflowState, tried: frozenset[str], context: Context = NO_CONTEXT) -> Offer:
        return free_offer(
            lambda logs: code_prompt(
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
        child, modification = parse_code_reply(reply, state)
        return Action(modification, child)

    def can_expand(self, state: WorkflowState, tried: frozenset[str]) -> bool:
        return True

    def reply_of(self, state: WorkflowState, key: str) -> str | None:
        return None


def _note(lesson: Lesson | None) -> str:
    """What a short prompt has room for, such as ``+0.12 in 5``; nothing where such an edit was never made."""
    return "" if lesson is None else f"{lesson.gain:+.2f} in {lesson.count}"


def free_offer(prompt: Callable[[tuple[str, ...]], list[Message]], logs: tuple[str, ...]) -> Offer:
    """An offer for free text: ``prompt`` of all logs, and of ever fewer of them."""
    whole, *shorter = (prompt(logs[:count]) for count in range(len(logs), -1, -1))
    return Offer(whole, None, tuple(shorter))
