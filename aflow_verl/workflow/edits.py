"""The ``edit`` action format: which one-step changes a workflow admits, and what each makes of it.

The list is short on purpose (at most ten for three operators and the built-in instructions, so that every label is a
digit). The last step carries the answer, so it is the one that can be changed; any step can be removed and new ones
are put at the end. Every pipeline can be reached from the seed this way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from aflow_verl.errors import InvalidAction
from aflow_verl.workflow.instructions import LIBRARY, fits
from aflow_verl.workflow.pipeline import (
    CODE_OPERATORS,
    INSTRUCTED_OPERATORS,
    LATER_OPERATORS,
    STEP_OPERATORS,
    Pipeline,
    Step,
    read,
    write,
)
from aflow_verl.workflow.state import WorkflowState


@dataclass(frozen=True, slots=True)
class Edit:
    """One legal change."""

    key: str
    """Stable identity, for example ``instruct:0:step_by_step``; positions count from 0."""
    text: str
    """One short line for the policy; changes are of the last step, and positions count from 1."""


STOP = Edit("stop", "stop")
"""Ends the episode; always legal and always last."""


@dataclass(frozen=True)
class EditSpace:
    """What edits may use."""

    operators: tuple[str, ...] = ("Custom", "ScEnsemble", "Programmer")
    instructions: Mapping[str, str] = field(default_factory=lambda: dict(LIBRARY))
    """Name to text. ``direct`` (no text) is understood and needs no entry."""
    samples: tuple[int, ...] = (3,)
    """Sample counts offered besides 1; need ScEnsemble."""
    max_steps: int = 3

    def step_operators(self, position: int, *, code_task: bool) -> tuple[str, ...]:
        """Operators that can stand at this step (0 is the first)."""
        excluded = (LATER_OPERATORS if position == 0 else frozenset()) | (frozenset() if code_task else CODE_OPERATORS)
        return tuple(name for name in self.operators if name in STEP_OPERATORS - excluded)

    @property
    def sample_counts(self) -> tuple[int, ...]:
        return (1, *sorted(set(self.samples) - {1})) if "ScEnsemble" in self.operators else (1,)


_Change = tuple[Edit, Pipeline]


def legal_edits(state: WorkflowState, space: EditSpace) -> tuple[Edit, ...]:
    """All edits of a state, in a fixed order, ``stop`` last. A workflow that is no pipeline admits only ``stop``."""
    pipeline = read(state.code, state.prompts)
    return (*(edit for edit, _ in _changes(pipeline, space)), STOP) if pipeline else (STOP,)


def apply_edit(state: WorkflowState, edit_key: str, space: EditSpace) -> WorkflowState:
    """The child that an edit makes; its key joins the history and the score is unknown.

    Raises InvalidAction (``illegal_edit``) for an edit that this state does not admit; ``stop`` makes no child.
    """
    pipeline = read(state.code, state.prompts)
    for edit, child in _changes(pipeline, space) if pipeline else ():
        if edit.key == edit_key:
            code, prompts = write(child)
            return replace(state, code=code, prompts=prompts, score=None, history=(*state.history, edit_key))
    raise InvalidAction("illegal_edit", f"{edit_key!r} is not a legal edit of this workflow")


def _changes(pipeline: Pipeline, space: EditSpace) -> Iterator[_Change]:
    """The changes that make something new: of two that make the same child, the first one only."""
    made = {write(pipeline)}
    for edit, child in _all_changes(pipeline, space):
        if (source := write(child)) not in made:
            made.add(source)
            yield edit, child


def _all_changes(pipeline: Pipeline, space: EditSpace) -> Iterator[_Change]:
    yield from _last_step_changes(pipeline, space)
    if len(pipeline.steps) < space.max_steps:
        yield from _insertions(pipeline, space)
    if len(pipeline.steps) > 1:
        yield from _removals(pipeline, space)


def _last_step_changes(pipeline: Pipeline, space: EditSpace) -> Iterator[_Change]:
    index = len(pipeline.steps) - 1
    step = pipeline.steps[index]
    for operator in space.step_operators(index, code_task=pipeline.code_task):
        if operator != step.operator:
            new = _sampled(_new_step(operator, index, space), step.samples)
            yield _change(f"replace:{index}:{operator}", f"use {operator}", pipeline, index, new)
    for samples in space.sample_counts:
        if samples != step.samples and step.operator not in LATER_OPERATORS:
            what = f"vote of {samples}" if samples > 1 else "no vote"
            new = replace(step, samples=samples)
            yield _change(f"samples:{index}:{samples}", what, pipeline, index, new)
    if step.operator in INSTRUCTED_OPERATORS:
        for name, text in _instructions(index, space):
            if name != step.instruction:
                new = replace(step, instruction=name, text=text)
                yield _change(f"instruct:{index}:{name}", f"tell {_spoken(name)}", pipeline, index, new)


def _insertions(pipeline: Pipeline, space: EditSpace) -> Iterator[_Change]:
    index = len(pipeline.steps)
    for operator in space.step_operators(index, code_task=pipeline.code_task):
        step = _new_step(operator, index, space)
        name = f"{operator} {_spoken(step.instruction)}" if step.text else operator
        key = f"insert:{index}:{operator}" + (f":{step.instruction}" if step.text else "")
        yield Edit(key, f"add {name}"), replace(pipeline, steps=(*pipeline.steps, step))


def _removals(pipeline: Pipeline, space: EditSpace) -> Iterator[_Change]:
    for index in range(len(pipeline.steps)):
        kept = [*pipeline.steps[:index], *pipeline.steps[index + 1 :]]
        if kept[0].operator in LATER_OPERATORS:
            continue
        if not fits(kept[0].instruction, 0):
            kept[0] = replace(_new_step(kept[0].operator, 0, space), samples=kept[0].samples)
        yield Edit(f"remove:{index}", f"remove step {index + 1}"), replace(pipeline, steps=tuple(kept))


def _change(key: str, text: str, pipeline: Pipeline, index: int, step: Step) -> _Change:
    steps = (*pipeline.steps[:index], step, *pipeline.steps[index + 1 :])
    return Edit(key, text), replace(pipeline, steps=steps)


def _sampled(step: Step, samples: int) -> Step:
    return step if step.operator in LATER_OPERATORS else replace(step, samples=samples)


def _new_step(operator: str, position: int, space: EditSpace) -> Step:
    if operator not in INSTRUCTED_OPERATORS:
        return Step(operator)
    choices = dict(_instructions(position, space)) or {"direct": ""}
    name = "check" if "check" in choices else next(iter(choices))
    return Step(operator, name, choices[name])


def _instructions(position: int, space: EditSpace) -> Iterator[tuple[str, str]]:
    library = {"direct": "", **space.instructions}
    return ((name, text) for name, text in library.items() if fits(name, position))


def _spoken(name: str) -> str:
    return name.replace("_", " ")
