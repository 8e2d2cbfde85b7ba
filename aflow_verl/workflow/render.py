"""What the policy reads: a very short prompt for the ``edit`` format, full ones for ``code`` and ``suggest``.

The edit prompt is sized for a 135M policy on a CPU, where each prompt token is paid in every rollout and every
update. The others show what AFlow's optimizer is shown (arXiv 2410.10762, section 3), in our words. In ``suggest`` the
policy answers in words, and ``editor_prompt`` asks a second model for the code.
"""

from __future__ import annotations

from collections.abc import Sequence

from aflow_verl.types import Message, OperatorInfo
from aflow_verl.workflow.edits import Edit
from aflow_verl.workflow.graph_source import takes_entry_point
from aflow_verl.workflow.pipeline import Pipeline, Step, read
from aflow_verl.workflow.state import WorkflowState

MAX_LOG_CHARS = 1200
"""Of one failure log in a code prompt."""

_TASK = """\
You improve a workflow that answers problems by calling a language model."""
_CHANGE = """\
Make one change that is likely to raise its score: add, remove or reorder operator calls, change control flow, or
rewrite a prompt."""
_ONE_CHANGE = """\
- One change at a time, at most five changed lines; keep the whole workflow simple (at most ten operator calls)."""
_NO_REPEAT = """\
- Don't repeat a modification that the experience lists, whether it helped or not."""
_CODE = """\
- The signature is `async def __call__({signature})`; every path returns an answer and the cost, as the given workflow
  does; never return None.
- Call operators with keyword arguments, as their interfaces say. `operator`, `prompt_custom` and
  `create_llm_instance` are there without an import.
- Prompts are constants NAME = "..." in the prompt module, used as prompt_custom.NAME; full sentences, no placeholders.
- The code runs in a small Python interpreter: no class inheritance, no generators, no nested classes, no properties;
  of the libraries only re, math, statistics, json, random, asyncio, collections, itertools, functools, datetime,
  string, typing and dataclasses."""
_CODE_FORM = """\
Reply in exactly this form:
<modification>one sentence: what you change and why</modification>
<graph>
the whole module with class Workflow
</graph>
<prompt>
the whole prompt module
</prompt>"""


def edit_prompt(
    state: WorkflowState, edits: Sequence[Edit], labels: Sequence[str], *, task: str, notes: Sequence[str]
) -> list[Message]:
    """The workflow in one line, then a line for each edit: label, text, what such edits did. The reply is one label.

    ``edits``, ``labels`` and ``notes`` run in parallel; the caller leaves out what was tried. ValueError if their
    lengths differ.
    """
    lines = [f"Workflow: {describe(state)}{_score(state, short=True)}"]
    for label, edit, note in zip(labels, edits, notes, strict=True):
        lines.append(f"{label} {edit.text}" + (f" ({note})" if note else ""))
    return [
        {"role": "system", "content": f"Task: {task} Choose the best edit. Reply with its label."},
        {"role": "user", "content": "\n".join(lines)},
    ]


def describe(state: WorkflowState) -> str:
    """A pipeline in one line, such as ``Custom > Programmer x3``; ``code`` for any other workflow."""
    pipeline = read(state.code, state.prompts)
    return _describe_pipeline(pipeline) if pipeline else "code"


def _describe_pipeline(pipeline: Pipeline) -> str:
    return " > ".join(_describe_step(step) for step in pipeline.steps)


def _describe_step(step: Step) -> str:
    text = f"{step.operator} {step.instruction.replace('_', ' ')}" if step.text else step.operator
    return f"{text} x{step.samples}" if step.samples > 1 else text


def _score(state: WorkflowState, *, short: bool) -> str:
    if state.score is None:
        return ""
    return f" ({state.score:.2f})" if short else f"{state.score:.4f}"


def code_prompt(
    state: WorkflowState,
    operators: Sequence[OperatorInfo],
    *,
    task: str,
    experience: Sequence[str] = (),
    lessons: Sequence[str] = (),
    logs: Sequence[str] = (),
) -> list[Message]:
    """AFlow's view of a node: task, score, experience, operators, graph, prompts and failure logs.

    ``experience`` has one line for each modification already tried on this workflow, ``lessons`` one for each kind of
    modification that was tried anywhere, best first; each of ``logs`` is one failed problem, cut to ``MAX_LOG_CHARS``.
    How many logs are shown is the caller's choice. The reply is read by
    ``parse.parse_code_reply``.
    """
    rules = "\n".join([_ONE_CHANGE, _code_rules(state), _NO_REPEAT])
    return _messages(
        f"{_TASK} {_CHANGE}\n\nRules\n{rules}\n\n{_CODE_FORM}",
        [
            ("Task", task),
            *_search_sections(state, experience, lessons),
            *_workflow_sections(state, operators),
            *_log_sections(logs),
        ],
    )


def suggest_prompt(
    state: WorkflowState,
    operators: Sequence[OperatorInfo],
    *,
    task: str,
    experience: Sequence[str] = (),
    lessons: Sequence[str] = (),
    logs: Sequence[str] = (),
) -> list[Message]:
    """The same view as ``code_prompt``; the reply is one modification in words, which an editor model carries out."""
    form = "Reply with the modification alone, in one or two sentences, precise enough to be carried out. No code."
    return _messages(
        f"{_TASK} {_CHANGE} Somebody else writes the code.\n\nRules\n{_ONE_CHANGE}\n{_NO_REPEAT}\n\n{form}",
        [
            ("Task", task),
            *_search_sections(state, experience, lessons),
            *_workflow_sections(state, operators),
            *_log_sections(logs),
        ],
    )


def editor_prompt(
    state: WorkflowState, operators: Sequence[OperatorInfo], modification: str, *, task: str
) -> list[Message]:
    """What the editor model reads in the ``suggest`` format; its reply is read by ``parse.parse_code_reply``.

    Rules, operators and task come first and change least, so that a provider can cache them.
    """
    what = "You are given a workflow that answers problems by calling a language model, and one modification of it."
    how = "Carry out exactly this modification and change nothing else."
    return _messages(
        f"{what} {how}\n\nRules\n{_code_rules(state)}\n\n{_CODE_FORM}",
        [("Task", task), *_workflow_sections(state, operators), ("Modification", modification)],
    )


_Section = tuple[str, str]


def _messages(rules: str, sections: Sequence[_Section]) -> list[Message]:
    return [
        {"role": "system", "content": rules},
        {"role": "user", "content": "\n\n".join(f"## {title}\n{body}" for title, body in sections)},
    ]


def _code_rules(state: WorkflowState) -> str:
    return _CODE.format(signature="self, problem, entry_point" if takes_entry_point(state.code) else "self, problem")


def _search_sections(state: WorkflowState, experience: Sequence[str], lessons: Sequence[str]) -> list[_Section]:
    elsewhere = "\n".join(f"- {line}" for line in lessons)
    return [
        ("Score", _score(state, short=False) or "unknown"),
        ("Experience", "\n".join(f"- {line}" for line in experience) or "none yet"),
        *([("Kinds of modification, in the whole search", elsewhere)] if lessons else []),
    ]


def _workflow_sections(state: WorkflowState, operators: Sequence[OperatorInfo]) -> list[_Section]:
    return [
        ("Operators", "\n".join(f"- {info.name}: {info.description} {info.interface}" for info in operators)),
        ("Workflow", f"<graph>\n{state.code.strip()}\n</graph>\n<prompt>\n{state.prompts.strip()}\n</prompt>"),
    ]


def _log_sections(logs: Sequence[str]) -> list[_Section]:
    return [("Failed problems", "\n\n".join(_cut(log) for log in logs))] if logs else []


def _cut(log: str) -> str:
    return log if len(log) <= MAX_LOG_CHARS else log[: MAX_LOG_CHARS - 4] + " ..."
