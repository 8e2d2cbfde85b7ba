"""Drawing again: bounded, and each draw with a number of its own."""

import pytest

from aflow_verl.env.actions import Action, Offer, Reply
from aflow_verl.errors import InvalidAction
from aflow_verl.standalone.expansion import UNREADABLE, Expansion, expand
from aflow_verl.workflow.state import seed_state

SEED, CHILD = seed_state("toy", ("Custom",)), seed_state("other", ("Custom",))


class Format:
    """Replies are names of what they do."""

    async def read(self, state, reply):
        if reply == "babble":
            raise InvalidAction("no_fields", "nothing to read")
        failure = InvalidAction("editor_syntax", "no Python") if reply == "broken" else None
        return Action(reply, None if reply in ("stop", "broken") else CHILD, failure)


async def draws(replies: list[str], redraws: int = 3) -> tuple[Expansion, list[int]]:
    asked: list[int] = []

    async def ask(offer: Offer, draw: int) -> Reply:
        asked.append(draw)
        return Reply(replies[len(asked) - 1])

    def claim(action: Action) -> bool:
        return action.key != "old"

    found = await expand(SEED, Offer([], None), Format(), ask, claim, first_draw=8, redraws=redraws)  # type: ignore[arg-type]
    return found, asked


async def test_something_new_is_taken_at_once():
    assert await draws(["new"]) == (Expansion("new", CHILD, "", 1), [8])


async def test_what_brings_nothing_is_drawn_again():
    assert await draws(["old", "babble", "stop", "new"]) == (Expansion("new", CHILD, "", 4), [8, 9, 10, 11])


@pytest.mark.parametrize(
    ("reply", "last"),
    [
        ("old", Expansion("old", None, "known", 3)),
        ("babble", Expansion(UNREADABLE, None, "no_fields", 3)),
        ("stop", Expansion("stop", None, "stop", 3)),
        ("broken", Expansion("broken", None, "editor_syntax", 3)),
    ],
)
async def test_and_then_it_counts_as_tried(reply, last):
    assert await draws([reply] * 9, redraws=2) == (last, [8, 9, 10])
