"""Search, critic, estimator and rollout fit together."""

from __future__ import annotations

from collections.abc import Iterator

from aflow_verl.checks.finding import Finding, error, missing, note
from aflow_verl.checks.machine import Machine
from aflow_verl.recipe.load import Recipe

TRAINER_MODES = ("aflow_sync",)
VERL_MODES = ("sync", "colocate_async", "separate_async")
ROLLOUTS = ("hf", "vllm", "sglang", "trtllm")
"""Rollout servers: our transformers one and verl's."""
RESTRICTING = ("hf", "vllm")
"""Servers that can restrict decoding to given token ids."""
STRATEGIES = {"cpu": ("fsdp2",), "cuda": ("fsdp2", "fsdp")}
ATTENTION_WITHOUT_PACKAGE = ("sdpa", "eager")

ROLLOUT = "actor_rollout_ref.rollout.name"
RESUME_MODES = ("auto", "disable", "resume_path")
SERVER_PACKAGES = {"vllm": "vllm", "sglang": "sglang", "trtllm": "tensorrt_llm"}


def q_has_a_critic(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """A search that weighs Q needs somebody who learns it."""
    weight, critic = recipe.ours.search.rl_weight, recipe.get("critic.enable")
    if weight == 0:
        asked = "; the critic is trained and never asked" if critic else ""
        yield note("search.rl_weight", f"is 0: search without Q, as in AFlow{asked}")
    elif not critic:
        state = "null" if critic is None else "false"
        what = f"is {state} while search.rl_weight is {weight:g}: the search would use a Q that nobody learns"
        yield error("critic.enable", what, "set critic.enable=true, or search.rl_weight=0 for search without Q")


def replay(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """Replayed rows are the critic's, and a rule of sampling needs something that is sampled."""
    ours, critic = recipe.ours, recipe.get("critic.enable")
    fraction, how = ours.experience.replay_fraction, ours.experience.sampling
    if fraction > 0 and not critic:
        what = f"is {fraction:g}, and there is no critic to replay rows to"
        yield error("experience.replay_fraction", what, "set critic.enable=true, or experience.replay_fraction=0")
    if how == "surprising" and not critic:
        what = "'surprising' goes by the critic's V, and there is no critic"
        yield error("experience.sampling", what, "set critic.enable=true, or experience.sampling=uniform")
    elif how != "uniform" and fraction == 0 and ours.env.start.random == 0:
        what = f"'{how}' samples nothing: no rows are replayed and no episode starts at random"
        yield error("experience.sampling", what, "set experience.replay_fraction or env.start.random above 0")


def estimator(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """The trainer hands step data to one estimator only, and groups need two sessions to compare."""
    name = recipe.get("algorithm.adv_estimator")
    if name != "gigpo":
        todo = "set algorithm.adv_estimator=gigpo (with algorithm.gigpo.omega=0 it is GRPO on episodes)"
        yield error("algorithm.adv_estimator", f"'{name}' can't learn from episodes of several steps", todo)
    n = recipe.get("actor_rollout_ref.rollout.n")
    if n < 2:
        todo = "set it to 2 or more (GiGPO: 8)"
        yield error("actor_rollout_ref.rollout.n", f"{n} session a group leaves nothing to compare", todo)


def trainer_mode(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """Only our trainer knows episodes of several rows."""
    mode = recipe.get("trainer.v1.trainer_mode")
    if mode in VERL_MODES:
        why = "is verl's own, which can't read our step data" if mode == "sync" else "has no version of ours yet"
        yield error("trainer.v1.trainer_mode", f"'{mode}' {why}", f"use {', '.join(TRAINER_MODES)}")
    elif mode not in TRAINER_MODES:
        yield error("trainer.v1.trainer_mode", f"'{mode}' is not registered", f"use {', '.join(TRAINER_MODES)}")
    if not recipe.get("trainer.use_v1"):
        yield error("trainer.use_v1", "verl's old trainer is not supported", "set it to true")
    loop = recipe.get("actor_rollout_ref.rollout.agent.default_agent_loop")
    if loop != "aflow":
        yield error("actor_rollout_ref.rollout.agent.default_agent_loop", f"'{loop}' runs no workflows", "use aflow")


def validation(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """verl's validation would play episodes on the shared tree that nobody trains on."""
    ours = "validation is ours: evaluation.candidates_per_step"
    for key, off in (("val_before_train", "false"), ("val_only", "false"), ("test_freq", "-1")):
        value = recipe.get(f"trainer.{key}")
        if value is None or value is True or (value is not False and value > 0):
            yield error(f"trainer.{key}", ours, f"set it to {off}")


def resume(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """verl logs an unknown mode and begins anew."""
    mode = recipe.get("trainer.resume_mode")
    if mode not in RESUME_MODES:
        yield error("trainer.resume_mode", f"'{mode}' is no way to resume", f"use {' or '.join(RESUME_MODES)}")
    elif mode == "resume_path" and recipe.get("trainer.resume_from_path") is None:
        yield error("trainer.resume_from_path", "is not set", "name a checkpoint, or set trainer.resume_mode=auto")


def token_rewards(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """Features of verl that work on rewards or log-probabilities of its own, which our episodes don't have."""
    if recipe.get("algorithm.use_kl_in_reward"):
        why = "GiGPO reads the rewards of steps, not of tokens, so the penalty would be lost"
        yield error("algorithm.use_kl_in_reward", why, "set it to false and use actor_rollout_ref.actor.use_kl_loss")
    if recipe.get("algorithm.filter_groups.enable"):
        why = "a group without differences still teaches by its steps, and its episodes are on the tree"
        yield error("algorithm.filter_groups.enable", why, "set it to false")
    if recipe.get("reward.custom_reward_function.path") is not None:
        why = "rewards are the grades of executed workflows; verl's reward functions are never asked"
        yield error("reward.custom_reward_function.path", why, "set it to null, and choose a benchmark")
    if recipe.get("algorithm.rollout_correction.bypass_mode"):
        why = "policy/legal_mass is measured while log-probabilities are computed anew, which this mode skips"
        yield error("algorithm.rollout_correction.bypass_mode", why, "set it to false")


def sequence_parallel(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """Restricted decoding masks whole rows of logits, which sequence parallelism cuts up."""
    if recipe.ours.env.action_format != "edit":
        return
    for section in ("actor_rollout_ref.actor", "actor_rollout_ref.actor.fsdp_config"):
        key = f"{section}.ulysses_sequence_parallel_size"
        if recipe.get(key) > 1:
            yield error(key, "the edit format can't be split along the sequence; its rows are short", "set it to 1")
            return


def device_and_strategy(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """Engines exist for this device."""
    device = recipe.get("trainer.device")
    if device not in STRATEGIES:
        yield error("trainer.device", f"'{device}' is not supported", f"use {' or '.join(STRATEGIES)}")
        return
    for key in ("actor_rollout_ref.actor.strategy", *(["critic.strategy"] if recipe.get("critic.enable") else [])):
        strategy = recipe.get(key)
        if strategy not in STRATEGIES[device]:
            what = "is not built yet" if strategy == "deepspeed" else f"has no engine on {device}"
            yield error(key, f"'{strategy}' {what}", f"use {' or '.join(STRATEGIES[device])}")
    if device == "cpu" and recipe.get("trainer.nnodes") != 1:
        yield error("trainer.nnodes", "training on CPUs runs on one machine", "set it to 1")


def rollout_server(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """The server exists here, fits the device, and can do what the action format needs."""
    name = recipe.get(ROLLOUT)
    if name not in ROLLOUTS:
        what = "is not set" if name is None else f"'{name}' is no rollout server"
        yield error(ROLLOUT, what, "use vllm on GPUs, hf (transformers) elsewhere")
        return
    if recipe.ours.env.action_format == "edit" and name not in RESTRICTING:
        todo = f"use {' or '.join(RESTRICTING)}, or env.action_format=code"
        yield error(ROLLOUT, f"'{name}' can't restrict decoding, which the edit format needs", todo)
    if name == "hf" and recipe.get("actor_rollout_ref.rollout.tensor_model_parallel_size") != 1:
        key = "actor_rollout_ref.rollout.tensor_model_parallel_size"
        yield error(key, "the transformers server doesn't split a model", "set it to 1")
    if name == "hf" and recipe.get("actor_rollout_ref.rollout.top_k") > 0:
        yield error("actor_rollout_ref.rollout.top_k", "the transformers server has no top-k", "set it to -1")
    if name == "hf":
        return
    if recipe.get("trainer.device") == "cpu":
        yield error(ROLLOUT, f"'{name}' needs GPUs", "use hf on a CPU")
    elif not machine.has_package(SERVER_PACKAGES[name]):
        todo = "run: pip install -e '.[gpu]', or use hf" if name == "vllm" else "install it, or use vllm"
        yield missing(ROLLOUT, f"{name} is not installed", todo, name)


def attention(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """verl asks for flash-attention unless told otherwise; it exists on GPUs only, and where it is installed."""
    sections = ["actor_rollout_ref.model"] + (["critic.model"] if recipe.get("critic.enable") else [])
    for section in sections:
        key = f"{section}.override_config.attn_implementation"
        if recipe.get(key) in ATTENTION_WITHOUT_PACKAGE:
            continue
        if recipe.get("trainer.device") == "cpu":
            yield error(key, "flash-attention (verl's default) needs a GPU", "set it to sdpa")
        elif not machine.has_package("flash_attn"):
            packed = recipe.get(f"{section}.use_remove_padding")
            why = "use_remove_padding packs rows with flash-attention, which is" if packed else "flash-attention is"
            todo = f"run: pip install -e '.[gpu]', or set {key}=sdpa and {section}.use_remove_padding=false"
            yield missing(f"{section}.use_remove_padding", f"{why} not installed", todo, "flash-attn")
            return


def fused_kernels(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """Restricted decoding masks logits, which fused kernels never make."""
    key = "actor_rollout_ref.model.use_fused_kernels"
    if recipe.ours.env.action_format == "edit" and recipe.get(key):
        yield error(key, "the edit format needs the logits, which fused kernels don't keep", "set it to false")
