"""From the recipe's typed sections to the parts of an episode; pure, and the same in every process."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aflow_verl.benchmarks.base import Benchmark
from aflow_verl.config import AflowConfig
from aflow_verl.env.actions import ActionFormat, CodeFormat, EditFormat
from aflow_verl.env.suggest import SuggestFormat, Write
from aflow_verl.env.workflow_env import EnvSettings
from aflow_verl.operators.catalog import operator_infos
from aflow_verl.workflow.edits import EditSpace
from aflow_verl.workflow.instructions import select_instructions
from aflow_verl.workflow.state import WorkflowState, seed_state


def env_settings(ours: AflowConfig) -> EnvSettings:
    env = ours.env
    return EnvSettings(env.steps, env.invalid_penalty, env.anchor, env.max_logs)


def task_text(ours: AflowConfig, benchmark: Benchmark) -> str:
    """The benchmark's one line for the policy; a code prompt has room to say what answers look like as well."""
    return benchmark.task if ours.env.action_format == "edit" else f"{benchmark.task} {benchmark.answer_format}"


def action_format(ours: AflowConfig, task: str, write: Write) -> ActionFormat:
    """``task``: the text of ``task_text``. ``write``: how the editor model is asked; only ``suggest`` asks it."""
    return FORMATS[ours.env.action_format](ours, task, write)


def _edit(ours: AflowConfig, task: str, write: Write) -> ActionFormat:
    env = ours.env
    space = EditSpace(
        operators=env.operators,
        instructions=select_instructions(env.instructions),
        samples=env.samples,
        max_steps=env.max_workflow_steps,
    )
    return EditFormat(space, task)


def _code(ours: AflowConfig, task: str, write: Write) -> ActionFormat:
    return CodeFormat(operator_infos(ours.env.operators), task)


def _suggest(ours: AflowConfig, task: str, write: Write) -> ActionFormat:
    return SuggestFormat(operator_infos(ours.env.operators), task, write)


FORMATS: Mapping[str, Callable[[AflowConfig, str, Write], ActionFormat]] = {
    "edit": _edit,
    "code": _code,
    "suggest": _suggest,
}
"""``env.action_format`` -> the format."""


def root_state(ours: AflowConfig, benchmark: Benchmark) -> WorkflowState:
    """The seed workflow of a benchmark's search; problems that name a function to write are code tasks."""
    code_task = any(problem.entry_point is not None for problem in benchmark.problems("train"))
    return seed_state(benchmark.name, ours.env.operators, code_task=code_task)
