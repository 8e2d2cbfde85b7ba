"""Drawing again: bounded, each draw with a number of its own, and a broken workflow with its error in view."""

from itertools import count

import pytest

from aflow_verl.env.actions import Action, Offer, Reply
from aflow_verl.env.step import Edit
from aflow_verl.errors import InvalidAction
from aflow_verl.standalone.expansion import Drawing, Expansion, expand
from aflow_verl.workflow.state import seed_state

SEED, CHILD, BROKEN = (seed_state(name, ("Custom",)) for name in ("toy", "child", "broken"))
OFFER = Offer([{"role": "user", "content": "edit"}], None, ([{"role": "user", "content": "ed"}],))


class Format:
    """Replies are names of what they do."""

    async def read(self, state, reply):
        if reply == "babble":
            raise InvalidAction("no_fields", "nothing to read")
        if reply == "too much":
            raise AssertionError("the editor refuses the prompt, so there is nothing to read")
        failure = InvalidAction("editor_syntax", "no Python") if reply == "unwritten" else None
        child = None if reply in ("stop", "unwritten") else SEED if reply == "same" else BROKEN
        return Action(reply, CHILD if child is BROKEN and not reply.startswith("broken") else child, failure)


async def draws(replies: list[str], redraws: int = 3, repairs: int = 1) -> tuple[Expansion, list[int], list[Offer]]:
    asked: list[int] = []
    shown: list[Offer] = []

    async def ask(offer: Offer, draw: int) -> Reply:
        asked.append(draw)
        shown.append(offer)
        if replies[len(asked) - 1] == "too much":
            raise InvalidAction("prompt_too_long", "no room")
        return Reply(replies[len(asked) - 1], log_prob=-0.5)

    async def dry_run(state):
        return "NameError: x" if state is BROKEN else None

    drawing = Drawing(SEED, Format(), ask, dry_run, lambda edit: edit.action != "old", count(8).__next__)  # type: ignore[arg-type]
    return await expand(drawing, OFFER, redraws=redraws, repairs=repairs), asked, shown


async def test_something_new_is_taken_at_once():
    found, asked, _ = await draws(["new"])
    assert found == Expansion(Edit("new", CHILD), Reply("new", -0.5), "", 1)
    assert asked == [8]


async def test_what_brings_nothing_is_drawn_again():
    found, asked, shown = await draws(["old", "babble", "stop", "new"])
    assert (found.edit, found.draws, asked) == (Edit("new", CHILD), 4, [8, 9, 10, 11])
    assert shown == [OFFER] * 4


@pytest.mark.parametrize(
    ("reply", "edit"),
    [
        ("old", Edit("old", None, "known")),
        ("babble", Edit(None, None, "no_fields")),
        ("too much", Edit(None, None, "prompt_too_long")),
        ("stop", Edit("stop", None, "stop")),
        ("same", Edit("same", None, "no_change")),
        ("unwritten", Edit("unwritten", None, "editor_syntax")),
    ],
)
async def test_and_then_it_is_an_invalid_edit(reply, edit):
    found, asked, _ = await draws([reply] * 9, redraws=2)
    assert (found.edit, found.draws, asked) == (edit, 3, [8, 9, 10])


async def test_a_broken_workflow_is_repaired_with_its_error_in_view():
    found, asked, shown = await draws(["broken", "new"])
    assert (found.edit, found.draws, asked) == (Edit("new", CHILD), 2, [8, 9])
    assert shown[0] == OFFER
    wrote, told = shown[1].messages[1:]
    assert (wrote["role"], wrote["content"], told["role"]) == ("assistant", "broken", "user")
    assert "NameError: x" in told["content"]
    assert shown[1].shorter[0][1:] == [wrote, told]


async def test_repairs_are_bounded_over_the_whole_round():
    found, asked, shown = await draws(["broken"] * 9, redraws=2, repairs=2)
    assert (found.edit, found.error) == (Edit("broken", None, "fails_dry_run"), "NameError: x")
    assert len(asked) == found.draws == 3 + 2
    assert [len(offer.messages) for offer in shown] == [1, 3, 3, 1, 1]


async def test_no_repairs():
    _, asked, shown = await draws(["broken"] * 9, redraws=1, repairs=0)
    assert (len(asked), shown) == (2, [OFFER] * 2)
