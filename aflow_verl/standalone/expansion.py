"""One edit of a workflow: shown to the editor, its reply read, its workflow tried on a stub executor, and all of that
again where it brings nothing that could be evaluated."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from aflow_verl.env.actions import ActionFormat, Offer, Reply
from aflow_verl.env.step import STOPPED, Edit, read
from aflow_verl.errors import InvalidAction
from aflow_verl.evaluation.dry_run import FAILS_DRY_RUN
from aflow_verl.types import Message
from aflow_verl.workflow.state import WorkflowState

Ask = Callable[[Offer, int], Awaitable[Reply]]
"""``editor.Editor.ask``."""
DryRun = Callable[[WorkflowState], Awaitable[str | None]]
"""Why a workflow fails on a stub executor; None where it doesn't."""
KNOWN = "known"
"""Kind of an edit that was made of the workflow before, or is about to be."""


@dataclass(frozen=True, slots=True)
class Expansion:
    """What came of an edit."""

    edit: Edit
    """With a child, it can be evaluated; a stop is an invalid edit here, because a search has no other use for it."""
    reply: Reply | None = None
    error: str = ""
    """Of the dry run."""
    draws: int = 1


@dataclass(frozen=True)
class Drawing:
    """How edits of one workflow are drawn."""

    state: WorkflowState
    actions: ActionFormat
    ask: Ask
    dry_run: DryRun
    claim: Callable[[Edit], bool]
    """Whether an edit is new on the workflow; if so, nobody else makes it from now on."""
    number: Callable[[], int]
    """The how-manieth draw on the workflow the next one is."""

    async def draw(self, offer: Offer) -> Expansion:
        """One reply, read and tried."""
        try:
            reply = await self.ask(offer, self.number())
        except InvalidAction as refused:
            return Expansion(Edit(None, None, refused.kind))
        edit = await read(self.actions, self.state, reply.text)
        if edit.stops:
            return Expansion(replace(edit, invalid=STOPPED), reply)
        if edit.child is None:
            return Expansion(edit, reply)
        if not self.claim(edit):
            return Expansion(Edit(edit.action, None, KNOWN), reply)
        error = await self.dry_run(edit.child)
        if error is not None:
            return Expansion(Edit(edit.action, None, FAILS_DRY_RUN), reply, error)
        return Expansion(edit, reply)


async def expand(drawing: Drawing, offer: Offer, *, redraws: int, repairs: int) -> Expansion:
    """Draw until there is something to evaluate, at most ``redraws`` times after the first; else the last one stands.

    A workflow that fails its dry run is shown to the editor with its error, at most ``repairs`` times in all, before
    the offer is drawn anew.
    """
    draws = 0
    for _ in range(redraws + 1):
        found = await drawing.draw(offer)
        draws += 1
        while found.error and repairs > 0:
            assert found.reply is not None
            found = await drawing.draw(repair(offer, found.reply.text, found.error))
            draws, repairs = draws + 1, repairs - 1
        if found.edit.child is not None:
            break
    return replace(found, draws=draws)


def repair(offer: Offer, reply: str, error: str) -> Offer:
    """The offer, what the editor wrote, and why that fails."""
    more: list[Message] = [
        {"role": "assistant", "content": reply},
        {
            "role": "user",
            "content": f"That workflow fails when it is run: {error}\nWrite it again without this error, in the same "
            "form.",
        },
    ]
    return Offer([*offer.messages, *more], offer.replies, tuple([*shorter, *more] for shorter in offer.shorter))
