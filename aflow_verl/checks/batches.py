"""Batch sizes that verl would stop at, some of them only after minutes."""

from __future__ import annotations

from collections.abc import Iterator

from aflow_verl.checks.finding import Finding, error, note
from aflow_verl.checks.machine import Machine
from aflow_verl.recipe.load import Recipe

ACTOR = "actor_rollout_ref.actor"
MOST_ROWS = 10_000_000
"""Of a run; more take minutes and gigabytes to write."""


def batch_sizes(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """Sessions divide over the ranks and mini-batches are no larger than the batch."""
    rows, n, ranks = recipe.get("data.train_batch_size"), recipe.get("actor_rollout_ref.rollout.n"), recipe.ranks
    if (rows * n) % ranks:
        what = f"{rows} rows of {n} sessions don't divide over {ranks} ranks"
        yield error("data.train_batch_size", what, f"make train_batch_size * rollout.n a multiple of {ranks}")
    for section in _trained(recipe):
        mini = recipe.get(f"{section}.ppo_mini_batch_size")
        if mini > rows:
            key = f"{section}.ppo_mini_batch_size"
            yield error(key, f"{mini} is more than the {rows} rows of a step", f"set it to {rows} or less")
        elif (mini * n) % ranks:
            key = f"{section}.ppo_mini_batch_size"
            yield error(
                key, f"{mini} * {n} doesn't divide over {ranks} ranks", f"make the product a multiple of {ranks}"
            )


def micro_batches(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """Exactly one of verl's two micro-batch keys is set where the size isn't dynamic."""
    if not recipe.get(f"{ACTOR}.use_dynamic_bsz"):
        yield from _exactly_one(recipe, ACTOR, "ppo_micro_batch_size")
        yield from _exactly_one(recipe, "actor_rollout_ref.rollout", "log_prob_micro_batch_size")
        if recipe.get(f"{ACTOR}.use_kl_loss"):
            yield from _exactly_one(recipe, "actor_rollout_ref.ref", "log_prob_micro_batch_size")
    if recipe.get("critic.enable") and not recipe.get("critic.use_dynamic_bsz"):
        yield from _exactly_one(recipe, "critic", "ppo_micro_batch_size")
    for section, key in _MICRO_BATCHES:
        yield from _divides(recipe, section, key)


_MICRO_BATCHES = (
    (ACTOR, f"{ACTOR}.ppo_micro_batch_size_per_gpu"),
    (ACTOR, "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu"),
    ("critic", "critic.ppo_micro_batch_size_per_gpu"),
)
"""(whose mini-batch, micro-batch)"""


def _divides(recipe: Recipe, section: str, key: str) -> Iterator[Finding]:
    """verl asserts it in the first update: a rank's share of a mini-batch is whole micro-batches."""
    micro = recipe.get(key)
    if section not in _trained(recipe) or recipe.get(f"{section}.use_dynamic_bsz") or not micro:
        return
    mini, n = recipe.get(f"{section}.ppo_mini_batch_size"), recipe.get("actor_rollout_ref.rollout.n")
    share = mini * n // recipe.ranks
    if share % micro:
        what = f"{micro} doesn't divide a rank's share of a mini-batch, {mini} * {n} / {recipe.ranks} = {share} rows"
        yield error(key, what, "set it to a divisor of that")


def length_of_run(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """A run has a known number of steps: its problems are drawn beforehand."""
    steps, rows = recipe.get("trainer.total_training_steps"), recipe.get("data.train_batch_size")
    if steps is not None and steps * rows > MOST_ROWS:
        what = f"{steps} steps of {rows} rows are {steps * rows} rows, all written before the first step"
        yield error("trainer.total_training_steps", what, f"make them {MOST_ROWS} or less; a longer run can resume")
    if steps is None:
        yield error("trainer.total_training_steps", "is not set", "say how many training steps the run has")


def updates_a_step(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """verl counts rows, and an episode has several: say how many updates that makes."""
    rows, n = recipe.get("data.train_batch_size"), recipe.get("actor_rollout_ref.rollout.n")
    most = rows * n * recipe.ours.env.steps
    mini = recipe.get(f"{ACTOR}.ppo_mini_batch_size") * n
    epochs = recipe.get(f"{ACTOR}.ppo_epochs")
    yield note(f"{ACTOR}.ppo_mini_batch_size", f"at most {most} rows a step, in {-(-most // mini) * epochs} updates")


def _exactly_one(recipe: Recipe, section: str, name: str) -> Iterator[Finding]:
    old, key = recipe.get(f"{section}.{name}"), f"{section}.{name}_per_gpu"
    per_gpu = recipe.get(key)
    if old is None and per_gpu is None:
        yield error(key, "is not set", f"set it, or {section}.use_dynamic_bsz=true")
    elif old is not None:
        yield error(f"{section}.{name}", "verl has given this key up", f"use {key} alone")


def _trained(recipe: Recipe) -> list[str]:
    return [ACTOR] + (["critic"] if recipe.get("critic.enable") else [])
