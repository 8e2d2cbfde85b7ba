"""From the recipe's typed sections to the parts of an episode; pure, and the same in every process."""

from __future__ import annotations

from aflow_verl.benchmarks.base import Benchmark
from aflow_verl.config import AflowConfig
from aflow_verl.env.actions import ActionFormat, CodeFormat, EditFormat
from aflow_verl.env.workflow_env import EnvSettings
from aflow_verl.operators.catalog import operator_infos
from aflow_verl.search.settings import SearchSettings, SoftMixedSettings
from aflow_verl.workflow.edits import EditSpace
from aflow_verl.workflow.instructions import select_instructions
from aflow_verl.workflow.state import WorkflowState, seed_state


def env_settings(ours: AflowConfig, gamma: float) -> EnvSettings:
    env = ours.env
    return EnvSettings(env.steps, env.invalid_penalty, gamma, env.anchor, env.max_logs)


def search_settings(ours: AflowConfig) -> SearchSettings:
    search = ours.search
    mixed = search.soft_mixed
    return SearchSettings(
        selector=search.selector,
        fusion=search.fusion,
        rl_weight=search.rl_weight,
        c_puct=search.c_puct,
        c_ucb=search.c_ucb,
        widening_k=search.widening_k,
        widening_a=search.widening_a,
        first_play=search.first_play,
        soft_mixed=SoftMixedSettings(mixed.sample, mixed.alpha, mixed.lambda_),
    )


def task_text(ours: AflowConfig, benchmark: Benchmark) -> str:
    """The benchmark's one line for the policy; a code prompt has room to say what answers look like as well."""
    return benchmark.task if ours.env.action_format == "edit" else f"{benchmark.task} {benchmark.answer_format}"


def action_format(ours: AflowConfig, task: str) -> ActionFormat:
    """``task``: the text of ``task_text``."""
    env = ours.env
    if env.action_format == "code":
        return CodeFormat(operator_infos(env.operators), task)
    space = EditSpace(
        operators=env.operators,
        instructions=select_instructions(env.instructions),
        samples=env.samples,
        max_steps=env.max_workflow_steps,
    )
    return EditFormat(space, task)


def root_state(ours: AflowConfig, benchmark: str) -> WorkflowState:
    """The seed workflow of a benchmark's search."""
    return seed_state(benchmark, ours.env.operators)
