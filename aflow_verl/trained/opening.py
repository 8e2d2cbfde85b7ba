"""Weights on disk -> policy and critic in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aflow_verl.config import TrainedConfig
from aflow_verl.critic.batching import BatchingScorer
from aflow_verl.critic.loading import load_critic
from aflow_verl.critic.scorer import CriticScorer
from aflow_verl.models.local import pick_device, pick_dtype
from aflow_verl.trained.export import CRITIC_OUT, POLICY_OUT, export_checkpoint
from aflow_verl.trained.policy import Policy, load_policy
from aflow_verl.trained.quiet import quietly
from aflow_verl.trained.training import FOLDER, Trained, weights_of

WHERE = "standalone.trained"


@dataclass(frozen=True)
class Opened:
    """A training's policy, and its critic where it is asked for."""

    trained: Trained
    policy: Policy
    critic: BatchingScorer | None
    centre: float
    """The score that the critic's 0 stands for on this benchmark."""


def open_trained(
    settings: TrainedConfig, run_dir: Path, benchmark: str, *, seed: int, critic: bool, say: Callable[[str], None]
) -> Opened:
    """Convert, unless that is done, and load. Blocking; takes seconds to minutes.

    Raises ``UserError``, also for a critic whose training has not left its centre.
    """
    trained = weights_of(settings, run_dir)
    centre = trained.centre(benchmark) if critic else 0.0  # before minutes of converting
    if not trained.exported:
        trained = export_checkpoint(trained, run_dir / FOLDER, critic=critic, say=say)
    say("loading policy" + (" and critic" if critic else ""))
    with quietly():
        return _load(settings, trained, centre, seed=seed, critic=critic)


def _load(settings: TrainedConfig, trained: Trained, centre: float, *, seed: int, critic: bool) -> Opened:
    device = pick_device(settings.device, WHERE)
    dtype = pick_dtype(settings.dtype, device, WHERE)
    model, tokenizer = load_policy(trained.folder / POLICY_OUT, device, dtype)
    manner = trained.manner
    policy = Policy(
        model,
        tokenizer,
        max_prompt_tokens=manner.max_prompt_tokens,
        max_response_tokens=manner.max_response_tokens,
        temperature=manner.temperature if settings.temperature is None else settings.temperature,
        seed=seed,
        max_batch=settings.max_batch,
    )
    scorer = None
    if critic:
        module = load_critic(trained.folder / CRITIC_OUT, device=str(device), dtype=dtype)
        scorer = BatchingScorer(CriticScorer(module, weights_step=trained.step, device=str(device)))
    return Opened(trained, policy, scorer, centre)
