"""GPUs, their memory, and Ray's logical CPUs."""

from __future__ import annotations

from collections.abc import Iterator

from aflow_verl.checks.finding import Finding, error, missing, note
from aflow_verl.checks.machine import Machine
from aflow_verl.checks.model_size import parameters
from aflow_verl.recipe.load import LOGICAL_CPUS_PER_RANK, Recipe

RESIDENT_BYTES = 12
"""A parameter at rest: fp32 weight (4) and Adam's two fp32 moments (8)."""
GRADIENT_BYTES = 4
"""More of the model that is being updated: its fp32 gradient."""
OPTIMIZER_BYTES = 8
USABLE = 0.9
"""Share of a GPU that is left for states; the rest holds activations of a checkpointed layer, buffers, fragments."""


def gpus(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """As many GPUs in this node as the recipe asks for."""
    if recipe.get("trainer.device") != "cuda":
        return
    asked = recipe.get("trainer.n_gpus_per_node")
    if machine.gpus < asked:
        key = "trainer.n_gpus_per_node"
        what = f"{asked} GPUs asked for, {machine.gpus} {'assumed' if machine.assumed else 'found'}"
        todo = f"set it to {machine.gpus} or run on a larger machine" if machine.gpus else "run on a machine with GPUs"
        yield missing(key, what, f"{todo}; to plan ahead: --check --assume gpus={asked},gpu_gb=80", f"{asked} GPUs")
    tensor_parallel = recipe.get("actor_rollout_ref.rollout.tensor_model_parallel_size")
    if recipe.get("actor_rollout_ref.rollout.name") != "hf" and recipe.ranks % tensor_parallel:
        key = "actor_rollout_ref.rollout.tensor_model_parallel_size"
        yield error(key, f"{tensor_parallel} doesn't divide {recipe.ranks} GPUs", "set it to a divisor")


def gpu_memory(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """A rough estimate of states a GPU, so that a plan that can't fit fails here and not after the download.

    Update: 16 bytes a parameter of the model in training, 12 of the other one, over all ranks. Generation: 12 bytes a
    parameter of both, over all ranks, beside the server's ``gpu_memory_utilization``. Offloaded states count only
    while their model is in training.
    """
    path = recipe.get("actor_rollout_ref.model.path")
    if recipe.get("trainer.device") != "cuda" or machine.gpu_gb is None or path is None:
        return
    size = parameters(path)
    if size is None:
        yield note("actor_rollout_ref.model.path", f"the size of '{path}' is unknown; GPU memory is not checked")
        return
    need_gb, phase = max((update_gb(recipe), "an update"), (generation_gb(recipe, machine.gpu_gb), "generation"))
    what = f"about {need_gb:.0f} GB a GPU in {phase} ({size / 1e9:.1f} billion parameters, {recipe.ranks} GPUs)"
    if need_gb > USABLE * machine.gpu_gb:
        todo = "use more GPUs, fsdp_config.param_offload and optimizer_offload, or a lower gpu_memory_utilization"
        yield error("actor_rollout_ref.model.path", f"needs {what}, of {machine.gpu_gb:.0f} GB", todo)
    else:
        yield note("actor_rollout_ref.model.path", f"needs {what}, of {machine.gpu_gb:.0f} GB")


def update_gb(recipe: Recipe) -> float:
    """GB a GPU while the hungrier of the two models is updated."""
    at_rest = _at_rest(recipe)
    total = sum(at_rest.values())
    sizes = _sizes(recipe)
    in_training = [total - at_rest[s] + sizes[s] * (RESIDENT_BYTES + GRADIENT_BYTES) for s in sizes]
    return max(in_training) / recipe.ranks / 1e9


def generation_gb(recipe: Recipe, gpu_gb: float) -> float:
    """GB a GPU while the rollout server generates beside the resting models."""
    share = recipe.get("actor_rollout_ref.rollout.gpu_memory_utilization")
    return sum(_at_rest(recipe).values()) / recipe.ranks / 1e9 + share * gpu_gb


def ray_cpus(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """verl reserves three logical CPUs a rank and one for its task runner; with fewer, placement waits for ever.

    The same goes for GPUs, one a rank; on a CPU they are logical, too.
    """
    on_one_node = recipe.get("trainer.nnodes") == 1
    asked, needed = recipe.get("ray_kwargs.ray_init.num_cpus"), LOGICAL_CPUS_PER_RANK * recipe.ranks + 1
    if asked is not None and asked < needed and on_one_node:
        what = f"{asked} logical CPUs, and {recipe.ranks} ranks need {needed}"
        yield error("ray_kwargs.ray_init.num_cpus", what, f"set it to {needed} or more, or leave it out")
    logical = recipe.get("ray_kwargs.ray_init.num_gpus")
    if logical is not None and logical < recipe.ranks and on_one_node:
        what = f"{logical} GPUs in Ray, and {recipe.ranks} ranks are placed by them"
        yield error("ray_kwargs.ray_init.num_gpus", what, f"set it to {recipe.ranks} or more, or leave it out")


def _sizes(recipe: Recipe) -> dict[str, float]:
    """Parameters by the key of the model's offload settings."""
    sizes = {"actor_rollout_ref.actor.fsdp_config": parameters(recipe.get("actor_rollout_ref.model.path")) or 0.0}
    if recipe.get("critic.enable"):
        sizes["critic.fsdp"] = parameters(recipe.get("critic.model.path")) or 0.0
    return sizes


def _at_rest(recipe: Recipe) -> dict[str, float]:
    rest = {}
    for section, size in _sizes(recipe).items():
        per_parameter = RESIDENT_BYTES
        per_parameter -= OPTIMIZER_BYTES if recipe.get(f"{section}.optimizer_offload") else 0
        per_parameter -= RESIDENT_BYTES - OPTIMIZER_BYTES if recipe.get(f"{section}.param_offload") else 0
        rest[section] = size * per_parameter
    return rest
