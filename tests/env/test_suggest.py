"""The ``suggest`` format: the policy's words, a scripted editor, and what becomes of both."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from aflow_verl.env.actions import Context
from aflow_verl.env.suggest import SuggestFormat
from aflow_verl.env.workflow_env import WorkflowEnv
from aflow_verl.errors import InvalidAction, ModelUnavailable
from aflow_verl.operators.catalog import operator_infos
from aflow_verl.types import Message
from aflow_verl.workflow.state import SEED_CODE, WorkflowState, seed_state

CHANGED = SEED_CODE.replace('instruction=""', 'instruction="Be brief."')
GOOD = f"<modification>asks for brevity</modification>\n<graph>\n{CHANGED}</graph>\n<prompt>\n</prompt>"


class Editor:
    """Replies with a text, or raises; keeps what it was asked."""

    def __init__(self, reply: str | Exception) -> None:
        self.reply = reply
        self.asked: list[list[Message]] = []

    async def __call__(self, messages: list[Message]) -> str:
        self.asked.append(messages)
        if isinstance(self.reply, Exception):
            raise self.reply
        return self.reply


def _format(write: Callable[[list[Message]], Awaitable[str]]) -> SuggestFormat:
    return SuggestFormat(operator_infos(("Custom", "ScEnsemble")), "Solve it.", write)


def _text(messages: list[Message]) -> str:
    return "\n".join(message["content"] for message in messages)


@pytest.fixture
def root() -> WorkflowState:
    return seed_state("toy", ("Custom", "ScEnsemble"))


async def test_the_editor_writes_what_the_policy_says(root: WorkflowState) -> None:
    editor = Editor(GOOD)
    action = await _format(editor).read(root, "  Ask for\nbrief answers. ")
    assert action.key == "Ask for brief answers."
    assert action.failure is None
    assert action.child is not None
    assert "Be brief." in action.child.code
    assert action.child.history == ("Ask for brief answers.",)  # the policy's words, not the editor's
    assert "Ask for brief answers." in _text(editor.asked[0])
    assert root.code.strip() in _text(editor.asked[0])


async def test_no_words_are_the_policys_fault_and_cost_nothing(root: WorkflowState) -> None:
    editor = Editor(GOOD)
    with pytest.raises(InvalidAction) as failure:
        await _format(editor).read(root, " \n ")
    assert failure.value.kind == "no_fields"
    assert not editor.asked


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ("I can't.", "editor_no_fields"),
        (GOOD.replace("async def", "async deff"), "editor_syntax"),
        (GOOD.replace(CHANGED, SEED_CODE), "editor_no_change"),
        (GOOD.replace("operator.Custom", "operator.Oracle"), "editor_unknown_operator"),
        (InvalidAction("prompt_too_long", "too long"), "editor_prompt_too_long"),
    ],
)
async def test_an_unusable_editor_is_a_failure_of_its_own_kind(
    root: WorkflowState, reply: str | Exception, kind: str
) -> None:
    action = await _format(Editor(reply)).read(root, "Ask for brief answers.")
    assert action.child is None
    assert action.failure is not None
    assert action.failure.kind == kind
    assert action.key == "Ask for brief answers."


async def test_an_editor_that_is_down_is_no_failure_of_the_policy(root: WorkflowState) -> None:
    with pytest.raises(ModelUnavailable):
        await _format(Editor(ModelUnavailable("overloaded"))).read(root, "Ask for brief answers.")


async def test_the_policy_sees_the_workflow_and_fewer_failures_where_it_can_read_less(root: WorkflowState) -> None:
    actions = _format(Editor(GOOD))
    context = Context(experience=("+0.10 on 4 problems: vote",), logs=("Problem: one", "Problem: two"))
    offer = actions.offer(root, frozenset(), context)
    assert offer.replies is None
    for shown in (root.code.strip(), "ScEnsemble", "Solve it.", "vote", "Problem: one", "Problem: two"):
        assert shown in _text(offer.messages)
    one, none = (_text(messages) for messages in offer.shorter)
    assert "Problem: one" in one
    assert "Problem: two" not in one
    assert "Problem" not in none.replace("problems", "")
    assert actions.can_expand(root, frozenset({"vote"}))
    assert actions.reply_of(root, "vote") is None
    assert not actions.restricted


async def test_an_episode_runs_on_suggestions(make_env: Callable[..., WorkflowEnv], table: Any) -> None:
    async def write(messages: list[Message]) -> str:
        return GOOD if "Ask for brevity" in messages[-1]["content"] else "Sorry."

    env = make_env(table({"Custom": 1, "code": 3}), actions=_format(write), steps=3, widening_k=1.0)
    for words in ("Ask for brevity", "Do something", ""):
        await env.observe()
        await env.step(words, log_prob=-0.5)
    episode = env.episode()
    assert episode.invalid == (None, "editor_no_fields", "no_fields")
    assert episode.rewards == pytest.approx((0.5, -0.1, -0.1))
    assert [choice["action"] for choice in episode.choices] == ["Ask for brevity", "Do something", None]
    assert episode.children[0] is not None
    assert env._tree[episode.children[0]].action == "Ask for brevity"
