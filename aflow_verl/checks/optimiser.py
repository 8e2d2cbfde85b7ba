"""Policy and critic are really trained: what is left of the learning rate when everything has been taken off it.

The chain, as verl's FSDP engine has it, for each of the two models:

    lr_k      = lr * schedule(k)                              warm-up, then constant or cosine; k-th update of a run
    g         = min(clip_grad, 1 / loss scale) / sqrt(P)      what clipping leaves of one of P weights' gradients
    movement  = mean_k lr_k * g / (g + eps)                   of a weight in one update: Adam; SGD: mean_k lr_k * g
    drift     = movement * updates of the run / TYPICAL_WEIGHT

A movement that the weights' type rounds away, or a drift that nobody would see, is named: some experiments want a
model that stands still, and none wants to be told after a week.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aflow_verl.checks.finding import Finding, error, warning
from aflow_verl.checks.machine import Machine
from aflow_verl.checks.model_size import parameters
from aflow_verl.recipe.load import Recipe

TYPICAL_WEIGHT = 0.02
"""Root mean square of a transformer's weights (initialised with 0.02, and trained ones are near)."""
ROUNDS_AWAY = {"fp32": 2.0**-30, "float32": 2.0**-30, "bf16": 2.0**-14, "bfloat16": 2.0**-14, "fp16": 2.0**-17}
"""Type of the trained weights -> half of its spacing at 0.02, which lies between 2^-6 and 2^-5; a smaller step is lost
(fp32 has 23 bits after the first one, bf16 7, fp16 10)."""
LEAST_DRIFT = 1e-4
"""Of a weight in a whole run, relative to its size; a run of two steps at 1e-6 with four updates each makes 4e-4."""
USUAL_PARAMETERS = 1e9
"""Of a model whose size can't be told."""
ADAM_EPS = 1e-8
MOST_DECAY = 0.1
"""Share of a weight that weight decay may take in one update."""
LEAST_ADAPTER = 1e-3
"""Factor lora_alpha / lora_rank on what an adapter has learned."""
SCHEDULES = ("constant", "cosine")
SAMPLED = 1000
"""Updates of a run at which its schedule is looked at, at most."""


@dataclass(frozen=True)
class Role:
    """Where a trained model's keys stand."""

    name: str
    section: str
    model: str
    engine: str


POLICY = Role("policy", "actor_rollout_ref.actor", "actor_rollout_ref.model", "actor_rollout_ref.actor.fsdp_config")
CRITIC = Role("critic", "critic", "critic.model", "critic.fsdp")


def trained(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """Each model that is said to learn can."""
    for role in (POLICY, *((CRITIC,) if recipe.get("critic.enable") else ())):
        yield from _refused(recipe, role)
        steps, rate = trained_steps(recipe, role), optimiser(recipe, role, "lr")
        if steps <= 0:
            what = f"is {recipe.get('trainer.critic_warmup')}, and the run has {_total(recipe)} steps"
            yield _dead(role, "trainer.critic_warmup", what, "make it smaller than trainer.total_training_steps")
            continue
        yield from _half_trained(recipe, role, steps)
        if rate == 0:
            yield _dead(role, _key(recipe, role, "lr"), "is 0", "set it to 1e-6 or so to train it")
        elif optimiser(recipe, role, "clip_grad") == 0:
            yield _dead(
                role, _key(recipe, role, "clip_grad"), "is 0: every gradient is cut to nothing", "set it to 1.0"
            )
        else:
            yield from _schedule(recipe, role, steps)
            yield from _movement(recipe, role, steps)
        yield from _too_much(recipe, role)
        yield from _adapters(recipe, role)


def kept(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """What is learned is written down."""
    if recipe.get("trainer.save_freq") < 1:
        what = f"is {recipe.get('trainer.save_freq')}"
        effect = "nothing that policy and critic learn is kept, and the run can't resume"
        yield warning("trainer.save_freq", effect, what, "set it to 1 or more")
    for role in (POLICY, CRITIC):
        key = f"{role.section}.checkpoint.save_contents"
        if "model" not in (recipe.get(key) or ()):
            yield warning(key, f"the {role.name}'s weights are not kept", "lacks 'model'", "add it")


def trained_steps(recipe: Recipe, role: Role) -> int:
    """Steps of the run in which the model is updated: verl trains the policy from ``trainer.critic_warmup`` on."""
    waited = max(recipe.get("trainer.critic_warmup") - 1, 0) if role is POLICY else 0
    return max(_total(recipe) - waited, 0)


def updates_a_step(recipe: Recipe, role: Role) -> int:
    """Optimiser steps in a training step, at most: an episode has up to ``env.steps`` rows."""
    rows = recipe.get("data.train_batch_size") * recipe.ours.env.steps
    return -(-rows // recipe.get(f"{role.section}.ppo_mini_batch_size")) * recipe.get(f"{role.section}.ppo_epochs")


def schedule(recipe: Recipe, role: Role, steps: int) -> list[float]:
    """Factors on the learning rate over the run, one a training step (verl moves its schedule once a step)."""
    total = _total(recipe)
    warm_up = optimiser(recipe, role, "lr_warmup_steps")
    if warm_up is None or warm_up <= 0:
        warm_up = int((optimiser(recipe, role, "lr_warmup_steps_ratio") or 0.0) * total)
    cosine = _kind(recipe, role) == "cosine"
    floor, cycles = optimiser(recipe, role, "min_lr_ratio") or 0.0, optimiser(recipe, role, "num_cycles")
    late = 1 if cosine and optimiser(recipe, role, "zero_indexed_step") is False else 0

    def factor(k: int) -> float:
        if k < warm_up:
            return k / max(1.0, warm_up)
        if not cosine:
            return 1.0
        progress = (k - warm_up) / max(1, total - warm_up)
        return max(floor, math.cos(2 * math.pi * cycles * progress) * (1 - floor) / 2 + (1 + floor) / 2)

    count = min(steps, SAMPLED)
    return [factor(round(i * (steps - 1) / max(count - 1, 1)) + late) for i in range(count)]


def movement(recipe: Recipe, role: Role, mean_rate: float) -> float:
    """How far one update moves a weight, at most; formula at the top of the file."""
    size = parameters(recipe.get(f"{role.model}.path")) or USUAL_PARAMETERS
    gradient = min(optimiser(recipe, role, "clip_grad"), 1.0 / _loss_scale(recipe, role)) / math.sqrt(size)
    if "sgd" in str(optimiser(recipe, role, "optimizer")).lower():
        return mean_rate * gradient
    eps = optimiser(recipe, role, "eps")
    return mean_rate * gradient / (gradient + (ADAM_EPS if eps is None else eps)) if gradient > 0 else 0.0


def optimiser(recipe: Recipe, role: Role, name: str) -> Any:
    """A setting of the optimiser as verl uses it: its extra arguments win, and old names over new ones."""
    return recipe.get(_key(recipe, role, name))


def _key(recipe: Recipe, role: Role, name: str) -> str:
    """The key that decides about a setting of the optimiser."""
    section = f"{role.section}.optim"
    if name in (recipe.get(f"{section}.override_optimizer_config") or {}):
        return f"{section}.override_optimizer_config.{name}"
    old = {"clip_grad": "grad_clip", "lr_scheduler_type": "warmup_style"}.get(name)
    return f"{section}.{old}" if old and recipe.get(f"{section}.{old}") is not None else f"{section}.{name}"


def _refused(recipe: Recipe, role: Role) -> Iterator[Finding]:
    """What only stops a run after minutes, or turns learning round."""
    extra = recipe.get(f"{role.section}.optim.override_optimizer_config") or {}
    for name in extra:
        value = extra[name]
        wrong = isinstance(value, int | float) and not isinstance(value, bool) and not (0 <= value < math.inf)
        if name in ("lr", "eps", "weight_decay") and (wrong or not isinstance(value, int | float)):
            key = f"{role.section}.optim.override_optimizer_config.{name}"
            yield error(key, f"{value!r} is out of range", "it has to be a number, at least 0")
    kind = _kind(recipe, role)
    if kind not in SCHEDULES:
        yield error(
            _key(recipe, role, "lr_scheduler_type"), f"'{kind}' is no schedule", f"use {' or '.join(SCHEDULES)}"
        )
    if recipe.get(f"{role.engine}.forward_only"):
        yield error(f"{role.engine}.forward_only", f"leaves the {role.name} without an optimiser", "set it to false")


def _half_trained(recipe: Recipe, role: Role, steps: int) -> Iterator[Finding]:
    if 2 * steps < _total(recipe):
        effect = f"the {role.name} will be trained in only {steps} of {_total(recipe)} steps"
        what = f"is {recipe.get('trainer.critic_warmup')}"
        yield warning("trainer.critic_warmup", effect, what, "make it smaller, or the run longer")


def _schedule(recipe: Recipe, role: Role, steps: int) -> Iterator[Finding]:
    peak = max(schedule(recipe, role, steps))
    if peak < 0.99:
        by_steps = (optimiser(recipe, role, "lr_warmup_steps") or 0) > 0
        key = f"{role.section}.optim.{'lr_warmup_steps' if by_steps else 'lr_warmup_steps_ratio'}"
        amount = f"{peak:.3g} of its learning rate"
        effect = f"the {role.name} will never be trained with more than {amount}"
        if peak == 0:
            effect = f"the {role.name} will not be trained: its learning rate stays 0"
        what = f"is {recipe.get(key)}: a warm-up as long as the {steps} steps of the run, or longer"
        yield warning(key, effect, what, "make it shorter, or the run longer")


def _movement(recipe: Recipe, role: Role, steps: int) -> Iterator[Finding]:
    factors = schedule(recipe, role, steps)
    rate = optimiser(recipe, role, "lr") * sum(factors) / len(factors)
    if rate <= 0:
        return
    moved = movement(recipe, role, rate)
    lost = ROUNDS_AWAY.get(str(recipe.get(f"{role.engine}.model_dtype")), 0.0)
    drift = moved * steps * updates_a_step(recipe, role) / TYPICAL_WEIGHT
    if moved >= lost and drift >= LEAST_DRIFT:
        return
    key, what, todo = _culprit(recipe, role, rate, moved)
    if moved < lost:
        dtype = recipe.get(f"{role.engine}.model_dtype")
        rest = f"an update moves a weight by {moved:.2g} at most, and {dtype} rounds that away"
    else:
        rest = f"all its updates together move a weight by {drift:.2g} of its size at most"
    yield warning(key, f"the {role.name} will not be trained: {rest}", what, todo)


def _culprit(recipe: Recipe, role: Role, rate: float, moved: float) -> tuple[str, str, str]:
    """(key, what it is, what to do): whatever takes most of the movement away."""
    if moved >= ROUNDS_AWAY["fp32"]:
        key = f"{role.engine}.model_dtype"
        dtype = recipe.get(key)
        if moved < ROUNDS_AWAY.get(str(dtype), 0.0):
            return key, f"is {dtype}", "set it to fp32, verl's default (it may still compute in bf16)"
    if moved > 0.1 * rate:
        key = _key(recipe, role, "lr")
        return key, f"is {optimiser(recipe, role, 'lr'):g}", "raise it (1e-6 for a policy, 1e-5 for a critic)"
    eps = optimiser(recipe, role, "eps")
    if eps is not None and eps > 1e-6:
        return _key(recipe, role, "eps"), f"is {eps:g}, far above the gradients", "leave it out"
    if 1.0 / _loss_scale(recipe, role) < optimiser(recipe, role, "clip_grad"):
        key = f"{role.section}.loss_scale_factor"
        return key, f"is {recipe.get(key)}, which the loss is divided by", "set it to null"
    return _key(recipe, role, "clip_grad"), f"is {optimiser(recipe, role, 'clip_grad'):g}", "set it to 1.0"


def _too_much(recipe: Recipe, role: Role) -> Iterator[Finding]:
    rate, decay = optimiser(recipe, role, "lr"), optimiser(recipe, role, "weight_decay") or 0.0
    if rate > TYPICAL_WEIGHT:
        effect = f"an update changes the {role.name}'s weights by more than their size: it forgets all it knew"
        yield warning(
            _key(recipe, role, "lr"), effect, f"is {rate:g}", "lower it (1e-6 for a policy, 1e-5 for a critic)"
        )
    elif rate * decay > MOST_DECAY:
        effect = f"weight decay takes {rate * decay:.0%} of the {role.name}'s weights in an update"
        yield warning(_key(recipe, role, "weight_decay"), effect, f"is {decay:g}", "set it to 0.01")


def _adapters(recipe: Recipe, role: Role) -> Iterator[Finding]:
    rank = recipe.get(f"{role.model}.lora_rank") or 0
    if rank <= 0:
        return
    alpha, targets = recipe.get(f"{role.model}.lora_alpha"), recipe.get(f"{role.model}.target_modules")
    if abs(alpha) / rank < LEAST_ADAPTER:
        what = f"is {alpha:g} at a rank of {rank}: what the adapters learn is multiplied by {alpha / rank:.2g}"
        yield _dead(role, f"{role.model}.lora_alpha", what, "set it to once or twice the rank")
    if not targets:
        yield _dead(role, f"{role.model}.target_modules", "names no module for an adapter", "set it to all-linear")


def _dead(role: Role, key: str, what: str, todo: str) -> Finding:
    return warning(key, f"the {role.name} will not be trained", what, todo)


def _kind(recipe: Recipe, role: Role) -> Any:
    return optimiser(recipe, role, "lr_scheduler_type")


def _total(recipe: Recipe) -> int:
    return int(recipe.get("trainer.total_training_steps") or 0)


def _loss_scale(recipe: Recipe, role: Role) -> float:
    """What verl divides the loss by, beyond counting tokens and rows."""
    if recipe.get(f"{role.section}.loss_agg_mode") != "seq-mean-token-sum-norm":
        return 1.0
    return float(recipe.get(f"{role.section}.loss_scale_factor") or 1.0)
