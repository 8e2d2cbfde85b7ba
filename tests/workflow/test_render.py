"""The prompts of the action formats."""

from dataclasses import replace

import pytest

from aflow_verl.types import OperatorInfo
from aflow_verl.workflow.edits import EditSpace, apply_edit, legal_edits
from aflow_verl.workflow.labels import labels
from aflow_verl.workflow.render import MAX_LOG_CHARS, code_prompt, describe, edit_prompt, editor_prompt, suggest_prompt
from aflow_verl.workflow.state import WorkflowState, seed_state

SPACE = EditSpace()
SEED = replace(seed_state("letter_counting", SPACE.operators), score=0.15)


def test_the_edit_prompt_of_the_seed() -> None:
    edits = legal_edits(SEED, SPACE)
    notes = ["+0.12 in 5", *[""] * (len(edits) - 1)]
    system, user = edit_prompt(SEED, edits, labels(len(edits)), task="Count letters.", notes=notes)
    assert system == {"role": "system", "content": "Task: Count letters. Choose the best edit. Reply with its label."}
    assert user["content"].splitlines() == [
        "Workflow: Custom (0.15)",
        "0 use Programmer (+0.12 in 5)",
        "1 vote of 3",
        "2 tell step by step",
        "3 tell answer only",
        "4 tell list items",
        "5 add Custom check",
        "6 add Programmer",
        "7 stop",
    ]


def test_edits_left_out_keep_the_other_labels() -> None:
    edits = legal_edits(SEED, SPACE)
    names = labels(len(edits))
    kept = [0, 7]
    shown = [edits[i] for i in kept]
    text = edit_prompt(SEED, shown, [names[i] for i in kept], task="t", notes=["", ""])[1]["content"]
    assert text.splitlines()[1:] == ["0 use Programmer", "7 stop"]
    with pytest.raises(ValueError, match="zip"):
        edit_prompt(SEED, edits, names[:2], task="t", notes=["", ""])
    with pytest.raises(ValueError, match="zip"):
        edit_prompt(SEED, shown, names[:2], task="t", notes=[""])


def test_describe() -> None:
    state = apply_edit(apply_edit(SEED, "insert:1:Custom:check", SPACE), "samples:1:3", SPACE)
    assert describe(state) == "Custom > Custom check x3"
    assert describe(WorkflowState("d", "x = 1", "", ())) == "code"


def test_the_code_prompt_shows_everything() -> None:
    operators = [OperatorInfo("Custom", "Answers.", "custom(input, instruction)")]
    long_log = "x" * (2 * MAX_LOG_CHARS)
    rules, view = code_prompt(
        SEED,
        operators,
        task="Count letters.",
        experience=["add a vote: 0.15 -> 0.10"],
        lessons=["+0.04 [+0.01, +0.07] in 6 edits: adds Programmer"],
        logs=["problem 1 ...", long_log],
    )
    assert "<modification>" in rules["content"]
    for part in (
        "Count letters.",
        "0.1500",
        "add a vote",
        "in 6 edits",
        "Custom: Answers.",
        SEED.code.strip(),
        "problem 1",
    ):
        assert part in view["content"]
    assert "x" * MAX_LOG_CHARS not in view["content"]


def test_a_code_task_shows_its_signature() -> None:
    seed = seed_state("humaneval", ("CustomCodeGenerate",), code_task=True)
    for state, signature in ((seed, "(self, problem, entry_point)"), (SEED, "(self, problem)")):
        for rules in (code_prompt(state, [], task="t")[0], editor_prompt(state, [], "m", task="t")[0]):
            assert f"async def __call__{signature}`" in rules["content"]


def test_the_suggest_format_asks_for_words_and_the_editor_for_code() -> None:
    operators = [OperatorInfo("Custom", "Answers.", "custom(input, instruction)")]
    more = {"task": "Count.", "experience": ["add a vote"], "lessons": ["+0.04 in 6"], "logs": ["problem 1"]}
    rules, view = suggest_prompt(SEED, operators, **more)  # type: ignore[arg-type]
    assert "No code" in rules["content"]
    assert "<graph>" not in rules["content"]
    assert view == code_prompt(SEED, operators, **more)[1]  # type: ignore[arg-type]
    rules, view = editor_prompt(SEED, operators, "Vote over three answers.", task="Count.")
    assert "<modification>" in rules["content"]
    assert view["content"].endswith("## Modification\nVote over three answers.")
    for part in ("Count.", "Custom: Answers.", SEED.code.strip()):
        assert part in view["content"]
    assert "Experience" not in view["content"]


def test_the_code_prompt_of_an_unknown_score_without_logs() -> None:
    view = code_prompt(replace(SEED, score=None), [], task="t")[1]["content"]
    assert "## Score\nunknown" in view
    assert "none yet" in view
    assert "Failed problems" not in view
    assert "in the whole search" not in view
