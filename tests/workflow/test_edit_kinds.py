"""Kinds of edit, by which a search counts what helped."""

import pytest

from aflow_verl.workflow.edit_kinds import edit_kind
from aflow_verl.workflow.edits import EditSpace, apply_edit, legal_edits
from aflow_verl.workflow.state import WorkflowState, seed_state

HEAD = "class Workflow:\n    def __init__(self):\n"
CUSTOM = "        self.custom = operator.Custom(self.llm)\n"
VOTE = "        self.vote = operator.ScEnsemble(self.llm)\n"
BODY = "    async def __call__(self, problem):\n        a = await self.custom(input=problem, instruction='')\n"
AGAIN = "        b = await self.custom(input=problem, instruction='')\n"
RETURN = "        return a, self.llm.cost\n"


def state(code: str, prompts: str = "") -> WorkflowState:
    return WorkflowState("toy", code, prompts, ("Custom", "ScEnsemble"))


SEED = state(HEAD + CUSTOM + BODY + RETURN)


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("replace:0:Programmer", "replace Programmer"),
        ("replace:2:Programmer", "replace Programmer"),
        ("insert:1:Custom:check", "insert Custom check"),
        ("instruct:0:step_by_step", "instruct step by step"),
        ("samples:1:3", "samples 3"),
    ],
)
def test_an_edit_key_is_its_own_kind_wherever_it_was_made(key: str, kind: str) -> None:
    assert edit_kind(SEED, SEED, key) == kind


def test_edits_of_one_kind_are_one_kind_in_every_workflow() -> None:
    space = EditSpace()
    seed = seed_state("toy", space.operators)
    longer = apply_edit(seed, "insert:1:Custom:check", space)
    assert {"samples:0:3", "samples:1:3"} <= {
        edit.key for state in (seed, longer) for edit in legal_edits(state, space)
    }
    assert edit_kind(seed, seed, "samples:0:3") == edit_kind(longer, longer, "samples:1:3") == "samples 3"


@pytest.mark.parametrize(
    ("after", "kind"),
    [
        (state(HEAD + CUSTOM + VOTE + BODY + RETURN), "adds ScEnsemble"),
        (state(HEAD + VOTE + BODY + RETURN), "adds ScEnsemble, removes Custom"),
        (state(HEAD + CUSTOM + BODY + AGAIN + RETURN), "more calls of its operators"),
        (state(HEAD + CUSTOM + BODY + RETURN, "P = 'Think.'"), "changes a prompt"),
        (state(HEAD + CUSTOM + BODY + RETURN.replace("a,", "a.strip(),")), "changes the code alone"),
    ],
)
def test_free_text_is_named_by_what_it_changed(after: WorkflowState, kind: str) -> None:
    assert edit_kind(SEED, after, "Ask twice, and vote: that should help.") == kind


def test_fewer_calls_are_the_reverse_of_more() -> None:
    more = state(HEAD + CUSTOM + BODY + AGAIN + RETURN)
    assert edit_kind(more, SEED, "Ask once.") == "fewer calls of its operators"
