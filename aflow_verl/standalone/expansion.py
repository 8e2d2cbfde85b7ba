"""One edit of a workflow: shown to the editor, its reply read, drawn again where it brings nothing new."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from aflow_verl.env.actions import Action, ActionFormat, Offer, Reply
from aflow_verl.errors import InvalidAction
from aflow_verl.workflow.state import WorkflowState

Ask = Callable[[Offer, int], Awaitable[Reply]]
"""``editor.Editor.ask``."""
UNREADABLE = "unreadable reply"
"""What a reply is called that names no modification."""


@dataclass(frozen=True, slots=True)
class Expansion:
    """What came of an edit."""

    action: str
    """Its key, or the modification in words."""
    child: WorkflowState | None
    """None: nothing to evaluate; ``why`` says the reason."""
    why: str = ""
    draws: int = 1
    log_prob: float | None = None
    """As ``env.actions.Reply`` has it."""
    response_ids: tuple[int, ...] = ()


async def expand(
    state: WorkflowState,
    offer: Offer,
    actions: ActionFormat,
    ask: Ask,
    claim: Callable[[Action], bool],
    *,
    first_draw: int,
    redraws: int,
) -> Expansion:
    """Draw until there is something new: at most ``redraws`` times after the first, then the last one stands, as tried.

    What is drawn again: a reply that can't be read, one that says stop, and an edit that is not new. ``claim`` says
    whether it is new.
    """
    last = Expansion(UNREADABLE, None)
    for draw in range(redraws + 1):
        last = await _draw(state, offer, actions, ask, claim, first_draw + draw)
        if last.child is not None:
            break
    return replace(last, draws=draw + 1)


async def _draw(
    state: WorkflowState,
    offer: Offer,
    actions: ActionFormat,
    ask: Ask,
    claim: Callable[[Action], bool],
    draw: int,
) -> Expansion:
    try:
        reply = await ask(offer, draw)
        action = await actions.read(state, reply.text)
    except InvalidAction as invalid:
        return Expansion(UNREADABLE, None, invalid.kind)
    if action.failure is not None:
        return Expansion(action.key, None, action.failure.kind)
    if action.child is None:
        return Expansion(action.key, None, "stop")
    if not claim(action):
        return Expansion(action.key, None, "known")
    return Expansion(action.key, action.child, log_prob=reply.log_prob, response_ids=reply.response_ids)
