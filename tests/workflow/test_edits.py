"""Edits of pipelines: which there are, what each does, and that code and pipeline are the same thing twice."""

import ast
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aflow_verl.errors import InvalidAction, RecipeError
from aflow_verl.workflow.edits import STOP, EditSpace, apply_edit, legal_edits
from aflow_verl.workflow.instructions import LIBRARY, select_instructions
from aflow_verl.workflow.labels import labels
from aflow_verl.workflow.pipeline import Pipeline, Step, read, write
from aflow_verl.workflow.state import WorkflowState, seed_state

SPACE = EditSpace()
SEED = seed_state("letter_counting", SPACE.operators)

steps = st.builds(
    lambda name, samples: Step("Custom", name, LIBRARY[name], samples),
    st.sampled_from(sorted(LIBRARY)),
    st.sampled_from([1, 3, 5]),
) | st.builds(lambda samples: Step("Programmer", samples=samples), st.sampled_from([1, 3]))
pipelines = st.lists(steps, min_size=1, max_size=4).map(lambda items: Pipeline(tuple(items)))


def walk(*keys: str) -> WorkflowState:
    state = SEED
    for key in keys:
        state = apply_edit(state, key, SPACE)
    return state


def pipeline_of(state: WorkflowState) -> tuple[Step, ...]:
    pipeline = read(state.code, state.prompts)
    assert pipeline is not None
    return pipeline.steps


@given(pipelines)
def test_reading_undoes_writing(pipeline: Pipeline) -> None:
    code, prompts = write(pipeline)
    assert read(code, prompts) == pipeline
    assert read(ast.unparse(ast.parse(code)), prompts + "\n# note\n") == pipeline


@pytest.mark.parametrize(
    "code",
    [
        "",
        "class Workflow(:",
        "class Workflow:\n    pass\n",
        SEED.code.replace("return solution", "return solution + '!'"),
        SEED.code.replace('instruction=""', 'instruction="inline"'),
        SEED.code.replace("operator.Custom", "operator.Review"),
    ],
)
def test_other_code_is_no_pipeline(code: str) -> None:
    assert read(code, "") is None
    other = WorkflowState("d", code, "", SPACE.operators)
    assert legal_edits(other, SPACE) == (STOP,)
    with pytest.raises(InvalidAction):
        apply_edit(other, "insert:1:Programmer", SPACE)


def test_the_edits_of_the_seed() -> None:
    assert [(edit.key, edit.text) for edit in legal_edits(SEED, SPACE)] == [
        ("replace:0:Programmer", "use Programmer"),
        ("samples:0:3", "vote of 3"),
        ("instruct:0:step_by_step", "tell step by step"),
        ("instruct:0:answer_only", "tell answer only"),
        ("instruct:0:list_items", "tell list items"),
        ("insert:1:Custom:check", "add Custom check"),
        ("insert:1:Programmer", "add Programmer"),
        ("stop", "stop"),
    ]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (["replace:0:Programmer"], [Step("Programmer")]),
        (["samples:0:3", "replace:0:Programmer"], [Step("Programmer", samples=3)]),
        (["samples:0:3", "samples:0:1"], [Step("Custom")]),
        (["instruct:0:answer_only"], [Step("Custom", "answer_only", LIBRARY["answer_only"])]),
        (["insert:1:Programmer"], [Step("Custom"), Step("Programmer")]),
        (["insert:1:Custom:check"], [Step("Custom"), Step("Custom", "check", LIBRARY["check"])]),
        (["insert:1:Programmer", "remove:0"], [Step("Programmer")]),
        # "check" needs a draft answer, so a check that becomes the first step turns into a direct call
        (["insert:1:Custom:check", "remove:0"], [Step("Custom")]),
    ],
)
def test_what_edits_do(keys: list[str], expected: list[Step]) -> None:
    state = walk(*keys)
    assert pipeline_of(state) == tuple(expected)
    assert state.history == tuple(keys)
    assert state.score is None


def test_every_reachable_state_is_sound() -> None:
    """A random part of the space: distinct keys, stop last, digits for labels, each edit a different workflow."""
    seen, waiting = {SEED.hash}, [SEED]
    rng = random.Random(0)
    while waiting and len(seen) < 60:
        state = waiting.pop(rng.randrange(len(waiting)))
        edits = legal_edits(state, SPACE)
        assert len({edit.key for edit in edits}) == len({edit.text for edit in edits}) == len(edits) <= 10
        assert edits[-1] == STOP
        children: set[str] = set()
        for edit in edits[:-1]:
            child = apply_edit(state, edit.key, SPACE)
            assert child.hash != state.hash
            assert child.hash not in children
            children.add(child.hash)
            assert 1 <= len(pipeline_of(child)) <= SPACE.max_steps
            if child.hash not in seen:
                seen.add(child.hash)
                waiting.append(child)


def test_of_two_edits_with_one_child_the_first_is_kept() -> None:
    state = walk("replace:0:Programmer", "insert:1:Programmer")
    assert pipeline_of(state) == (Step("Programmer"), Step("Programmer"))
    keys = [edit.key for edit in legal_edits(state, SPACE)]
    assert "remove:0" in keys
    assert "remove:1" not in keys
    with pytest.raises(InvalidAction):
        apply_edit(state, "remove:1", SPACE)
    assert apply_edit(state, "remove:0", SPACE).hash == walk("replace:0:Programmer").hash


def test_an_edit_that_changes_nothing_is_not_listed() -> None:
    """An instruction without text is the same workflow as none."""
    space = EditSpace(operators=("Custom",), instructions={"plain": ""}, max_steps=1)
    assert legal_edits(SEED, space) == (STOP,)


def test_undoing_an_edit_gives_the_same_node() -> None:
    assert walk("insert:1:Programmer", "remove:1").hash == SEED.hash


def test_stop_and_illegal_edits_make_no_child() -> None:
    for key in ("stop", "samples:0:4", "remove:0", ""):
        with pytest.raises(InvalidAction) as caught:
            apply_edit(SEED, key, SPACE)
        assert caught.value.kind == "illegal_edit"


def test_without_sc_ensemble_there_is_no_vote() -> None:
    edits = legal_edits(SEED, EditSpace(operators=("Custom", "Programmer")))
    assert not [edit for edit in edits if edit.key.startswith("samples")]


def test_a_small_library_and_one_step() -> None:
    space = EditSpace(operators=("Custom",), instructions={"answer_only": "Short."}, max_steps=1)
    assert [edit.key for edit in legal_edits(SEED, space)] == ["instruct:0:answer_only", "stop"]


def test_selecting_instructions() -> None:
    assert select_instructions([]) == dict(LIBRARY)
    assert list(select_instructions(["check"])) == ["direct", "check"]
    with pytest.raises(RecipeError, match="no instruction 'shout'"):
        select_instructions(["shout"])


def test_labels() -> None:
    assert labels(12) == (*"0123456789", "A", "B")
    assert labels(3) == labels(12)[:3]
    with pytest.raises(ValueError, match="37 edits"):
        labels(37)


CODE_SPACE = EditSpace(operators=("Custom", "CustomCodeGenerate", "ScEnsemble", "Test", "AnswerGenerate"))
CODE_SEED = seed_state("humaneval", CODE_SPACE.operators, code_task=True)


def code_walk(*keys: str) -> WorkflowState:
    state = CODE_SEED
    for key in keys:
        state = apply_edit(state, key, CODE_SPACE)
    return state


def test_the_edits_of_a_code_task() -> None:
    """Test needs a solution, so it can only follow."""
    assert [edit.key for edit in legal_edits(CODE_SEED, CODE_SPACE)] == [
        "replace:0:Custom",
        "replace:0:AnswerGenerate",
        "samples:0:3",
        "instruct:0:step_by_step",
        "instruct:0:answer_only",
        "instruct:0:list_items",
        "insert:1:Custom:check",
        "insert:1:CustomCodeGenerate:check",
        "insert:1:Test",
        "insert:1:AnswerGenerate",
        "stop",
    ]


def test_code_pipelines_keep_their_entry_point() -> None:
    for keys in ((), ("replace:0:Custom",), ("insert:1:Test",), ("insert:1:CustomCodeGenerate:check", "samples:1:3")):
        state = code_walk(*keys)
        pipeline = read(state.code, state.prompts)
        assert pipeline is not None
        assert pipeline.code_task
        assert "async def __call__(self, problem, entry_point):" in state.code


def test_a_test_step_is_neither_first_nor_voted_over() -> None:
    state = code_walk("insert:1:Test")
    keys = {edit.key for edit in legal_edits(state, CODE_SPACE)}
    assert "remove:1" in keys
    assert not keys & {"remove:0", "samples:1:3"}
    voted = code_walk("insert:1:Custom:check", "samples:1:3", "replace:1:Test")
    assert pipeline_of(voted)[1] == Step("Test")


def test_operators_of_code_tasks_are_not_offered_elsewhere() -> None:
    state = seed_state("hotpotqa", CODE_SPACE.operators)
    keys = [edit.key for edit in legal_edits(state, CODE_SPACE)]
    assert "replace:0:AnswerGenerate" in keys
    assert not [key for key in keys if "Test" in key or "CustomCodeGenerate" in key]
    answered = apply_edit(state, "insert:1:AnswerGenerate", CODE_SPACE)
    assert 'Draft answer: {solution}"))["answer"]' in answered.code
