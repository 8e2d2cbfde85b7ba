"""verl's keys that our code computes with: their type, their smallest value, and whether null is one.

verl's YAML types few of them, and some defaults are null. They are checked before anything is derived from them, so
that everything behind may compute with what it reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any, Literal

from omegaconf import DictConfig, OmegaConf

from aflow_verl.errors import RecipeError
from aflow_verl.schema import Locate


@dataclass(frozen=True)
class Kind:
    """What a value has to be."""

    name: Literal["a whole number", "a number", "a text"]
    low: float = -inf
    high: float = inf
    null: bool = False

    def accepts(self, value: Any) -> bool:
        """True if the type is right; a whole number is a number, true and false are none."""
        if self.name == "a text":
            return isinstance(value, str)
        types = int if self.name == "a whole number" else int | float
        return isinstance(value, types) and not isinstance(value, bool)

    def contains(self, value: Any) -> bool:
        """True if a value of the right type lies in the range; infinities and NaN don't."""
        return isinstance(value, str) or (isfinite(value) and self.low <= value <= self.high)

    @property
    def range(self) -> str:
        """``at least 1``; empty where everything goes."""
        if isfinite(self.high):
            return f"between {self.low:g} and {self.high:g}"
        return f"at least {self.low:g}" if isfinite(self.low) else ""


COUNT, COUNT_OR_NULL = Kind("a whole number", 1), Kind("a whole number", 1, null=True)
SHARE = Kind("a number", 0, 1)
TEXT, TEXT_OR_NULL = Kind("a text"), Kind("a text", null=True)
RATE = Kind("a number", 0)
EVERY = Kind("a whole number", -1)
"""Of so many steps; -1 is never."""

_ACTOR, _ROLLOUT = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"

_OPTIMISER = {
    "lr": RATE,
    "clip_grad": RATE,
    "grad_clip": Kind("a number", 0, null=True),
    "weight_decay": RATE,
    "lr_warmup_steps": Kind("a whole number"),
    "lr_warmup_steps_ratio": SHARE,
    "min_lr_ratio": Kind("a number", 0, 1, null=True),
    "num_cycles": Kind("a number"),
    "lr_scheduler_type": TEXT,
    "warmup_style": TEXT_OR_NULL,
}
_CLIP_OR_NULL = Kind("a number", 0, null=True)

VALUES: Mapping[str, Kind] = {
    "trainer.device": TEXT,
    "trainer.nnodes": COUNT,
    "trainer.n_gpus_per_node": COUNT,
    # null has a check of its own, which says why
    "trainer.total_training_steps": COUNT_OR_NULL,
    "trainer.total_epochs": COUNT,
    "trainer.critic_warmup": Kind("a whole number", 0),
    "trainer.save_freq": EVERY,
    "trainer.test_freq": EVERY,
    "trainer.resume_mode": TEXT,
    "trainer.resume_from_path": TEXT_OR_NULL,
    "data.train_batch_size": COUNT,
    "data.max_prompt_length": COUNT,
    "data.max_response_length": COUNT,
    "data.dataloader_num_workers": Kind("a whole number", 0),
    "algorithm.gamma": SHARE,
    "actor_rollout_ref.model.path": TEXT_OR_NULL,
    "critic.model.path": TEXT_OR_NULL,
    f"{_ACTOR}.ppo_mini_batch_size": COUNT,
    f"{_ACTOR}.ppo_micro_batch_size_per_gpu": COUNT_OR_NULL,
    f"{_ACTOR}.ppo_epochs": COUNT,
    f"{_ACTOR}.ulysses_sequence_parallel_size": COUNT,
    f"{_ACTOR}.fsdp_config.ulysses_sequence_parallel_size": COUNT,
    **{f"{_ACTOR}.optim.{name}": kind for name, kind in _OPTIMISER.items()},
    f"{_ACTOR}.clip_ratio": RATE,
    f"{_ACTOR}.clip_ratio_low": _CLIP_OR_NULL,
    f"{_ACTOR}.clip_ratio_high": _CLIP_OR_NULL,
    f"{_ACTOR}.clip_ratio_c": RATE,
    f"{_ACTOR}.entropy_coeff": Kind("a number"),
    f"{_ACTOR}.kl_loss_coef": RATE,
    f"{_ACTOR}.loss_scale_factor": Kind("a number", null=True),
    f"{_ROLLOUT}.prompt_length": COUNT,
    f"{_ROLLOUT}.response_length": COUNT,
    f"{_ROLLOUT}.max_model_len": COUNT_OR_NULL,
    f"{_ROLLOUT}.n": COUNT,
    f"{_ROLLOUT}.temperature": RATE,
    f"{_ROLLOUT}.top_p": SHARE,
    f"{_ROLLOUT}.top_k": Kind("a whole number", -1),
    f"{_ROLLOUT}.tensor_model_parallel_size": COUNT,
    f"{_ROLLOUT}.gpu_memory_utilization": SHARE,
    f"{_ROLLOUT}.log_prob_micro_batch_size_per_gpu": COUNT_OR_NULL,
    f"{_ROLLOUT}.agent.num_workers": COUNT,
    "critic.ppo_mini_batch_size": COUNT,
    "critic.ppo_micro_batch_size_per_gpu": COUNT_OR_NULL,
    "critic.ppo_epochs": COUNT,
    **{f"critic.optim.{name}": kind for name, kind in _OPTIMISER.items()},
    "critic.cliprange_value": RATE,
    "critic.loss_scale_factor": Kind("a number", null=True),
    "reward.num_workers": COUNT,
    "ray_kwargs.ray_init.num_cpus": COUNT_OR_NULL,
    "ray_kwargs.ray_init.num_gpus": Kind("a whole number", 0, null=True),
    "ray_kwargs.ray_init.object_store_memory": COUNT_OR_NULL,
}


def check_values(config: DictConfig, locate: Locate) -> None:
    """Raise ``RecipeError`` for the first value of a composed, resolvable recipe that is not of its kind."""
    for key, kind in VALUES.items():
        value = OmegaConf.select(config, key, default=None, throw_on_missing=False)
        if value is None:
            if not kind.null:
                needed = f"{kind.name}, {kind.range}" if kind.range else kind.name
                raise RecipeError(f"{locate(key)}: {key}: is not set; it has to be {needed}")
        elif not kind.accepts(value):
            raise RecipeError(f"{locate(key)}: {key}: expected {kind.name}, found {value!r}")
        elif not kind.contains(value):
            raise RecipeError(f"{locate(key)}: {key}: {value!r} is out of range; it has to be {kind.range}")
