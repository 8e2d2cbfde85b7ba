"""What the policy reads: a very short prompt for the ``edit`` format, a full one for the ``code`` format.

The edit prompt is sized for a 135M policy on a CPU, where each prompt token is paid in every rollout and every
update. The code prompt shows what AFlow's optimizer is shown (arXiv 2410.10762, section 3), in our words.
"""

from __future__ import annotations

from collections.abc import Sequence

from aflow_verl.types import Message, OperatorInfo
from aflow_verl.workflow.edits import Edit
from aflow_verl.workflow.pipeline import Pipeline, Step, read
from aflow_verl.workflow.state import WorkflowState

MAX_LOG_CHARS = 1200
"""Of one failure log in a code prompt."""

_CODE_RULES = """\
You improve a workflow that answers problems by calling a language model. Make one change that is likely to raise its
score: add, remove or reorder operator calls, change control flow, or rewrite a prompt.

Rules
- One change at a time, at most five changed lines; keep the whole workflow simple (at most ten operator calls).
- Every path returns an answer and the cost, as the given workflow does; never return None.
- Call operators with keyword arguments, as their interfaces say. `operator`, `prompt_custom` and
  `create_llm_instance` are there without an import.
- Prompts are constants NAME = "..." in the prompt module, used as prompt_custom.NAME; full sentences, no placeholders.
- The code runs in a small Python interpreter: no class inheritance, no generators, no nested classes, no method
  decorators, no `del`; of the libraries only re, math, json, random, asyncio, collections, itertools, functools,
  datetime, typing and dataclasses.
- Don't repeat a modification that the experience lists, whether it helped or not.

Reply in exactly this form:
<modification>one sentence: what you change and why</modification>
<graph>
the whole module with class Workflow
</graph>
<prompt>
the whole prompt module
</prompt>"""


def edit_prompt(state: WorkflowState, edits: Sequence[Edit], labels: Sequence[str], *, task: str) -> list[Message]:
    """The workflow in a line a step, then one line an edit: its label and text. The reply is one label.

    ``edits`` and ``labels`` run in parallel; the caller leaves out what was tried. ValueError if their lengths differ.
    """
    lines = [f"Workflow: {describe(state)}{_score(state, short=True)}"]
    lines += [f"{label} {edit.text}" for label, edit in zip(labels, edits, strict=True)]
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
    logs: Sequence[str] = (),
) -> list[Message]:
    """AFlow's view of a node: task, score, experience, operators, graph, prompts and failure logs.

    ``experience`` has one line for each modification already tried on this workflow; each of ``logs`` is one failed
    problem, cut to ``MAX_LOG_CHARS``. How many logs are shown is the caller's choice.
    """
    sections = [
        ("Task", task),
        ("Score", _score(state, short=False) or "unknown"),
        ("Experience", "\n".join(f"- {line}" for line in experience) or "none yet"),
        ("Operators", "\n".join(f"- {info.name}: {info.description} {info.interface}" for info in operators)),
        ("Workflow", f"<graph>\n{state.code.strip()}\n</graph>\n<prompt>\n{state.prompts.strip()}\n</prompt>"),
    ]
    if logs:
        sections.append(("Failed problems", "\n\n".join(_cut(log) for log in logs)))
    return [
        {"role": "system", "content": _CODE_RULES},
        {"role": "user", "content": "\n\n".join(f"## {title}\n{body}" for title, body in sections)},
    ]


def _cut(log: str) -> str:
    return log if len(log) <= MAX_LOG_CHARS else log[: MAX_LOG_CHARS - 4] + " ..."
