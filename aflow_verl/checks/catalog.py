"""All checks, in the order in which their complaints are useful."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from aflow_verl.checks import (
    batches,
    benchmarks,
    clients,
    grading,
    hardware,
    inputs,
    learning,
    optimiser,
    programs,
    prompt_room,
    q_source,
    run_directory,
    signal,
    standalone,
    steering,
    trained,
    unread,
    values,
    vocabulary,
)
from aflow_verl.checks.finding import Check, Finding
from aflow_verl.checks.machine import Machine
from aflow_verl.errors import RecipeError
from aflow_verl.recipe.load import Recipe

TRAINED: Mapping[str, Check] = {
    "policy and critic are trained": optimiser.trained,
    "what is learned is kept": optimiser.kept,
    "returns": signal.returns,
    "loss of the policy": signal.policy_loss,
    "loss of the critic": signal.critic_loss,
    "scale of the losses": signal.loss_scale,
    "rows to replay": signal.replay,
    "replies differ": signal.diversity,
    "edits to choose from": prompt_room.edits,
    "starts of episodes": steering.starts,
}
"""Of things that run and are dead, those that a training has."""

SEARCHED: Mapping[str, Check] = {
    "scores count": steering.exploration,
    "Q is heard": steering.q_weight,
    "children of a workflow": steering.widening,
    "enough problems": grading.problems,
    "the best workflow": grading.best_workflow,
    "limits of a workflow": grading.limits,
    "screening": steering.screening,
    "keys that nothing reads": unread.unread,
}
"""And those that every search has."""

CHECKS: Mapping[str, Check] = {
    "ranges of values": values.ranges,
    "start mixture": values.start_mixture,
    "edit space": values.edit_space,
    "Q has a critic": learning.q_has_a_critic,
    "values on demand": q_source.served,
    "memory for values on demand": q_source.memory,
    "replay and sampling": learning.replay,
    "estimator and groups": learning.estimator,
    "trainer and agent loop": learning.trainer_mode,
    "validation": learning.validation,
    "resume mode": learning.resume,
    "rewards and log-probabilities": learning.token_rewards,
    "sequence parallelism": learning.sequence_parallel,
    "device and engines": learning.device_and_strategy,
    "room for a reply": prompt_room.response,
    "fused kernels": learning.fused_kernels,
    "batch sizes": batches.batch_sizes,
    "micro batches": batches.micro_batches,
    "length of the run": batches.length_of_run,
    "updates a step": batches.updates_a_step,
    "logical CPUs": hardware.ray_cpus,
    "GPUs": hardware.gpus,
    "GPU memory": hardware.gpu_memory,
    "rollout server": learning.rollout_server,
    "attention kernels": learning.attention,
    "models": inputs.models,
    "one tokenizer": vocabulary.one_tokenizer,
    "simulation": clients.simulation,
    "executor": clients.executor,
    "editor": clients.editor,
    "room for a prompt": prompt_room.prompt,
    "benchmark data": benchmarks.benchmarks,
    "operators": benchmarks.operators,
    "programs": programs.backend,
    "run directory": run_directory.writable,
    "store": run_directory.store,
    "same recipe on resume": run_directory.same_recipe,
    **TRAINED,
    **SEARCHED,
}
"""Those of a recipe of ``kind: train``."""

SEARCH_CHECKS: Mapping[str, Check] = {
    "ranges of values": values.ranges,
    "edit space": values.edit_space,
    "trained weights": trained.weights,
    "Q has a critic": trained.critic,
    "policy as in its training": trained.manner,
    "search without a policy": standalone.no_policy,
    "search without replay": standalone.no_replay,
    "values on demand": q_source.of_training,
    "one benchmark": standalone.one_benchmark,
    "simulation": clients.simulation,
    "executor": clients.executor,
    "editor": clients.editor,
    "benchmark data": benchmarks.benchmarks,
    "operators": benchmarks.operators,
    "programs": programs.backend,
    "run directory": run_directory.writable,
    "store": run_directory.store,
    "same recipe on resume": run_directory.same_recipe,
    **SEARCHED,
}
"""Those of a recipe of ``kind: search``."""


def run_checks(
    recipe: Recipe, machine: Machine, checks: Mapping[str, Check] = CHECKS
) -> Iterator[tuple[str, tuple[Finding, ...]]]:
    """Every check's title with its findings; none means that all is well.

    What is dead is asked only of a recipe without mistakes, because it is computed from the recipe's values.
    """
    mistaken = False
    for title, check in checks.items():
        if mistaken and (title in TRAINED or title in SEARCHED):
            continue
        findings = tuple(check(recipe, machine))
        mistaken = mistaken or any(finding.kind == "error" for finding in findings)
        yield title, findings


def refuse(recipe: Recipe, findings: list[Finding]) -> None:
    """Raise ``RecipeError`` with one line if anything speaks against running.

    The first mistake in the recipe comes first; else whatever the machine lacks, all of it, because it is one shopping
    list and not a chain of mistakes.
    """
    mistakes = [f for f in findings if f.kind == "error"]
    lacking = [f for f in findings if f.kind == "missing"]
    if mistakes:
        raise RecipeError(mistakes[0].line(recipe))
    if len(lacking) == 1:
        raise RecipeError(lacking[0].line(recipe))
    if lacking:
        things = ", ".join(f"{f.lacks} ({recipe.locate(f.key)}: {f.key})" for f in lacking)
        raise RecipeError(f"{recipe.path}: missing here: {things}; --check says what to do about each")
