"""What the policy and the critic learn from is there, and something else does not drown it.

Scores lie between 0 and 1, so an advantage is at most ``1 + omega``; what is weighed against it is compared with an
edit that gains 10 points (``GAIN``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from aflow_verl.checks.finding import Finding, error, warning
from aflow_verl.checks.machine import Machine
from aflow_verl.recipe.load import Recipe

ACTOR, ROLLOUT = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
GAIN = 0.1
"""A good edit's, in score units."""
LEAST_SHIFT = 0.1
"""Change of a log-probability, below which nothing was learned: 10 % more likely."""
OMEGA = (0.01, 100.0)
"""Weights of the step advantage, outside of which one of the two advantages hardly counts."""
LEAST_GAMMA = 0.1
LEAST_PENALTY = 0.01
LEAST_CLIP = 1e-3
LEAST_VALUE_RANGE = 0.25
"""How far the critic's values have to be able to go over a run; scores have a range of 1."""
TEMPERATURES = (0.1, 3.0)
"""Below, a token that is one nat more likely wins 22,000 to 1; above, every token is about as likely as any other."""
LEAST_TOP_P = 0.3


def returns(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """Rewards reach the edits that they are owed to."""
    gamma, omega = recipe.get("algorithm.gamma"), recipe.ours.gigpo.omega
    if gamma < LEAST_GAMMA:
        effect = "no edit is credited for what later edits make of its workflow"
        yield warning("algorithm.gamma", effect, f"is {gamma:g}", "set it to 0.95 (GiGPO)")
    if omega < OMEGA[0]:
        effect = "steps are not compared with one another: GRPO on whole episodes, not GiGPO"
        yield warning("algorithm.gigpo.omega", effect, f"is {omega:g}", "set it to 1.0 for GiGPO")
    elif omega > OMEGA[1]:
        effect = "the returns of episodes hardly count beside those of steps"
        yield warning("algorithm.gigpo.omega", effect, f"is {omega:g}", "set it to 1.0")
    penalty = recipe.ours.env.invalid_penalty
    if penalty < LEAST_PENALTY:
        effect = "an invalid reply costs nothing, and so is worth more than a bad edit"
        yield warning("env.invalid_penalty", effect, f"is {penalty:g}", "set it to 0.1")


def policy_loss(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """The advantage is what moves the policy."""
    advantage = GAIN * (1.0 + recipe.ours.gigpo.omega)
    if recipe.get(f"{ACTOR}.use_kl_loss"):
        key = f"{ACTOR}.kl_loss_coef"
        coefficient = recipe.get(key)
        if coefficient > 0 and advantage / coefficient < LEAST_SHIFT:
            more = math.exp(advantage / coefficient)
            effect = f"the policy is held where it began: an edit that gains 10 points gets {more:.3g} times as likely"
            yield warning(key, effect, f"is {coefficient:g}", "set it to 0.001")
    entropy = recipe.get(f"{ACTOR}.entropy_coeff")
    if abs(entropy) > advantage / LEAST_SHIFT or entropy < -advantage:
        effect = "the policy is trained to reply at random" if entropy > 0 else "the policy is trained to reply alike"
        yield warning(f"{ACTOR}.entropy_coeff", f"{effect}, whatever its edits gain", f"is {entropy:g}", "set it to 0")
    yield from _clipping(recipe)


def _clipping(recipe: Recipe) -> Iterator[Finding]:
    either = recipe.get(f"{ACTOR}.clip_ratio")
    for side, what in (("high", "likelier"), ("low", "less likely")):
        key = f"{ACTOR}.clip_ratio_{side}"
        if recipe.get(key) is None:
            key = f"{ACTOR}.clip_ratio"
        value = either if recipe.get(key) is None else recipe.get(key)
        if value < LEAST_CLIP:
            effect = f"the policy will hardly be trained: no reply can become more than {value:.2g} {what} in a step"
            yield warning(key, effect, f"is {value:g}", "set it to 0.2")
    dual = recipe.get(f"{ACTOR}.clip_ratio_c")
    if dual <= 1:
        yield error(f"{ACTOR}.clip_ratio_c", f"{dual:g} is out of range", "it has to be above 1 (verl: 3)")


def critic_loss(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """The critic's values can go where the returns are."""
    key, steps = "critic.cliprange_value", recipe.get("trainer.total_training_steps") or 0
    if recipe.get("critic.enable") and recipe.get(key) * steps < LEAST_VALUE_RANGE:
        reach = recipe.get(key) * steps
        effect = (
            f"the critic will hardly be trained: clipping lets its values move by about {reach:.2g} in the whole run"
        )
        yield warning(key, effect, f"is {recipe.get(key):g}", "set it to 0.5")


def loss_scale(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """verl divides by it."""
    for key in (f"{ACTOR}.loss_scale_factor", "critic.loss_scale_factor"):
        value = recipe.get(key)
        if value is not None and not 0 < value < math.inf:
            yield error(key, f"{value!r} is out of range", "it has to be above 0, or null")


def replay(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """There is as much to replay as is asked for."""
    experience = recipe.ours.experience
    rows = recipe.get("data.train_batch_size") * recipe.get(f"{ROLLOUT}.n") * recipe.ours.env.steps
    asked = math.ceil(experience.replay_fraction * rows)
    if asked > experience.replay_rows:
        effect = f"a step replays at most {experience.replay_rows} rows, and {asked} are asked for"
        todo = f"set it to {asked} or more, or lower experience.replay_fraction"
        yield warning("experience.replay_rows", effect, f"is {experience.replay_rows}", todo)


def diversity(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """Sessions of a row reply differently, or there is nothing to compare."""
    alike = "all sessions of a row reply alike, so nothing tells a good edit from a bad one"
    temperature, top_p = recipe.get(f"{ROLLOUT}.temperature"), recipe.get(f"{ROLLOUT}.top_p")
    if 0 < temperature < TEMPERATURES[0]:
        yield warning(f"{ROLLOUT}.temperature", alike, f"is {temperature:g}", "set it to 1.0")
    elif temperature > TEMPERATURES[1]:
        effect = "the policy replies at random, whatever it has learned"
        yield warning(f"{ROLLOUT}.temperature", effect, f"is {temperature:g}", "set it to 1.0")
    if top_p < LEAST_TOP_P:
        yield warning(f"{ROLLOUT}.top_p", alike, f"is {top_p:g}: the likeliest tokens alone are left", "set it to 1.0")
    if recipe.get(f"{ROLLOUT}.top_k") == 1:
        yield warning(f"{ROLLOUT}.top_k", alike, "is 1: the likeliest token alone is left", "set it to -1")
