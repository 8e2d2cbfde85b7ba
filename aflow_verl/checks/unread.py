"""Keys that a recipe sets and nothing reads, so that nobody waits for what they do."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from aflow_verl.checks.finding import Finding, warning
from aflow_verl.checks.machine import Machine
from aflow_verl.recipe.load import Recipe, usual

ACTOR, ROLLOUT = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"


def _always(recipe: Recipe) -> bool:
    return True


def _both_sides(recipe: Recipe) -> bool:
    return all(recipe.get(f"{ACTOR}.clip_ratio_{side}") is not None for side in ("low", "high"))


def _other_selector(*names: str) -> Callable[[Recipe], bool]:
    return lambda recipe: recipe.ours.search.selector not in names


IN_THE_REWARD = "there is no KL penalty in the reward (GiGPO reads the rewards of steps)"
UNREAD: tuple[tuple[str, Callable[[Recipe], bool], str], ...] = (
    *((f"algorithm.kl_ctrl.{name}", _always, IN_THE_REWARD) for name in ("type", "kl_coef", "horizon", "target_kl")),
    ("algorithm.kl_penalty", _always, IN_THE_REWARD),
    ("algorithm.lam", _always, "GiGPO has no lambda"),
    ("algorithm.norm_adv_by_std_in_grpo", _always, "GiGPO goes by algorithm.gigpo.norm"),
    (f"{ACTOR}.kl_loss_coef", lambda recipe: not recipe.get(f"{ACTOR}.use_kl_loss"), f"{ACTOR}.use_kl_loss is false"),
    (f"{ACTOR}.clip_ratio", _both_sides, "clip_ratio_low and clip_ratio_high are set"),
    (f"{ACTOR}.grad_clip", _always, f"gradients are cut at {ACTOR}.optim.clip_grad"),
    ("critic.grad_clip", _always, "gradients are cut at critic.optim.clip_grad"),
    (f"{ACTOR}.freeze_vision_tower", _always, "the policy is a language model; to hold it, set its learning rate to 0"),
    (f"{ROLLOUT}.do_sample", _always, f"episodes are sampled at {ROLLOUT}.temperature"),
    ("search.c_ucb", _other_selector("ucb", "thompson"), "search.selector is another one"),
    ("search.c_puct", _other_selector("puct"), "search.selector is another one"),
    *(
        (f"search.soft_mixed.{name}", _other_selector("soft_mixed"), "search.selector is another one")
        for name in ("sample", "alpha", "lambda_")
    ),
)
"""(key, when it is not read, why)."""


def unread(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """Keys with another value than usual, in a recipe that does not use them."""
    for key, idle, why in UNREAD:
        value = recipe.get(key)
        if value is not None and value != usual(key) and idle(recipe):
            yield warning(key, f"{key} has no effect", f"is {value}, and {why}", "leave it out")
