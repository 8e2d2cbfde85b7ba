"""verl's V1 PPO trainer with the search in the loop; the only file that subclasses it.

``SearchInTheLoop`` overrides these hooks, in the order in which verl calls them (-: verl's own, for orientation):

    hook                       what it does here
    _build_replay_buffer       episodes are looked for more often
    _setup                     the critic's loss is set: two positions a reply
      _init_resource_pool_mgr  our workers
      _load_checkpoint         only whole checkpoints count
    on_init_end                weights go to the rollout; the search goes back to the checkpoint's step
    fit
      on_train_begin           metrics.jsonl
      step                     -- one training step
        _fetch_one_gen_batch   remembers the order of the prompts; episodes begin
        - replay_buffer.sample waits for the episodes
        on_sample_end          the search no longer asks the policy; a user's mistake ends the run
        _balance_batch         rows in a fixed order, padding spread over the mini-batches
        _compute_old_log_prob  the legal mass of restricted rows
        - _compute_ref_log_prob, _compute_values
        _compute_advantage     episodes are merged into the shared tree, which says what each row was worth; GiGPO
        _update_critic         rows of earlier episodes as well; how far it moved
        _update_actor          how far it moved
                               the critic's values of the whole tree; challengers of the best workflow
      _save_checkpoint         the step's metrics with it; whole only from then on
      on_step_end              weights go to the rollout
      - _consume_sync_metrics, _compute_metrics, logger.log
                               (after the last step) seed and best workflow on held-out problems

So advantages, the critic's targets and a step's values know all that the tree knew when the step was merged, and a
checkpoint never lacks its tree. What is relied on in verl is pinned by ``tests/trainer/test_verl_contract.py``.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import ray
import transfer_queue as tq
from omegaconf import DictConfig, OmegaConf, open_dict
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.utils import Role
from verl.trainer.ppo.v1.trainer_base import register_trainer
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

from aflow_verl.errors import UserError
from aflow_verl.health import HealthMonitor, Line, expectations, health_metrics, stop_if_dead
from trainer import checkpoints
from trainer.advantage import AdvantageContext, advantage_context, real_keys, split_key, step_rows
from trainer.critic_export import NO_EXPORT, export_values, predictions
from trainer.critic_targets import EndsLoss
from trainer.engines.legal_tokens import LEGAL_MASS
from trainer.gigpo import gigpo_statistics
from trainer.mini_batches import spread_padding
from trainer.parameter_change import relative_change
from trainer.q_server import QLink
from trainer.replay import CriticReplay, read_rows
from trainer.rollout.gateway import start_gateway
from trainer.run_log import FILE_NAME, STEP_METRICS, MetricsFile, plain_line, write_metrics
from trainer.search_link import SearchLink

POLL_SECONDS = 0.05
"""How often verl's replay buffer looks for finished episodes; its default of 2 s would be a large part of a step."""

EXPORT_BATCH = 8
"""Prompts a forward of the critic's export, where the recipe sets no micro batch (dynamic batches)."""

POLICY_CHANGE, CRITIC_CHANGE = "policy/parameter_change", "critic/parameter_change"
"""Metrics: relative change of the parameters in the step (``parameter_change``)."""


class SearchInTheLoop:
    """Mixin for verl's V1 trainers; see the module's docstring. Config: verl's, with our keys beside it."""

    config: DictConfig
    global_steps: int

    def __init__(self, config: DictConfig) -> None:
        self._keep_checkpoints: int | None = config.trainer.max_actor_ckpt_to_keep
        with open_dict(config):  # pruned here, after a checkpoint is whole; verl prunes while it writes one
            config.trainer.max_actor_ckpt_to_keep = None
            config.trainer.max_critic_ckpt_to_keep = None
        self._replay_fraction = float(config.experience.replay_fraction)
        self.search = SearchLink.connect()
        self._q_link = QLink.of(config)
        self._search_asks_policy = _search_asks_policy(config)
        self._gateway: Any = None
        self._drawn: dict[str, int] = {}
        self._predictions: dict[tuple[str, int, int], tuple[float, float]] = {}
        super().__init__(config)  # type: ignore[call-arg]

    # ---- start-up -------------------------------------------------------------------------------------------------

    def _build_replay_buffer(self) -> Any:
        buffer = super()._build_replay_buffer()  # type: ignore[misc]
        buffer.poll_interval = POLL_SECONDS
        return buffer

    def _init_resource_pool_mgr(self) -> None:
        # Not at the top: a Ray worker imports them first, they import verl, and verl imports this module.
        from trainer.workers import AflowActorRolloutRefWorker, AflowTrainingWorker

        super()._init_resource_pool_mgr()  # type: ignore[misc]
        mapping = self.role_worker_mapping  # type: ignore[attr-defined]
        for role in mapping:
            mapping[role] = ray.remote(AflowTrainingWorker if role == Role.Critic else AflowActorRolloutRefWorker)

    def _setup(self) -> None:
        self.search.phase("loading policy and critic")
        super()._setup()  # type: ignore[misc]
        if self.use_critic:  # type: ignore[attr-defined]
            loss = EndsLoss(float(self.config.critic.cliprange_value))
            self.critic_wg.set_loss_fn(loss)  # type: ignore[attr-defined]

    def _load_checkpoint(self) -> None:
        folder = Path(self.config.trainer.default_local_dir)
        checkpoints.remove_torn(folder)
        newest = checkpoints.latest_checkpoint(folder)
        if newest is not None and self.config.trainer.resume_mode == "auto":
            with open_dict(self.config):
                self.config.trainer.resume_mode = "resume_path"
                self.config.trainer.resume_from_path = str(newest[1])
        elif self.config.trainer.resume_mode == "auto":
            with open_dict(self.config):
                self.config.trainer.resume_mode = "disable"
        super()._load_checkpoint()  # type: ignore[misc]

    def on_init_end(self) -> None:
        self.search.phase("handing the weights to the rollout server")
        super().on_init_end()  # type: ignore[misc]
        self._serve_policy()
        if self._q_link is not None and self.global_steps:
            self._q_link.publish(self.critic_wg, self.global_steps)  # type: ignore[attr-defined]
        self.search.resume(self.global_steps)  # it grades the seed, for which the policy may be needed

    def on_train_begin(self) -> None:
        super().on_train_begin()  # type: ignore[misc]
        done = self.global_steps - 1
        log = MetricsFile(Path(self.config.run_dir) / FILE_NAME, resume_step=done)
        log.restore(done, self._checkpoint_folder(done) / STEP_METRICS)
        self.logger.logger["aflow"] = log  # type: ignore[attr-defined]
        self._health = HealthMonitor(self.config.health, *expectations(lambda key: OmegaConf.select(self.config, key)))
        self._health_lines = tuple[Line, ...]()
        for line in log.read():
            self._health_lines = self._health.update(int(line["step"]), line)

    def fit(self, agent_loop_manager: Any) -> None:
        super().fit(agent_loop_manager)  # type: ignore[misc]
        self.search.phase("comparing seed and best workflow on held-out problems")
        self.search.finish()

    # ---- the policy as a model of the search ----------------------------------------------------------------------

    def _serve_policy(self) -> None:
        """The rollout servers have the newest weights and are awake: tell the search, where it asks them."""
        if not self._search_asks_policy:
            return
        if self._gateway is None:
            self._gateway = start_gateway(self.get_llm_client())  # type: ignore[attr-defined]
        self.search.serve(self._gateway, self.global_steps)

    def on_sample_end(self) -> None:
        self.search.raise_failure(UserError)  # a wrong key, a spent budget: no use in going on
        if self._search_asks_policy:
            self.search.pause()
        super().on_sample_end()  # type: ignore[misc]

    def _sync_weights(self) -> None:
        self.search.phase("weight sync")
        super().on_step_end()  # type: ignore[misc]
        self._serve_policy()

    # ---- one step -------------------------------------------------------------------------------------------------

    def on_step_begin(self) -> None:
        stop_if_dead(self._health_lines, self._health.settings)  # not sooner: the last step is kept and compared first
        super().on_step_begin()  # type: ignore[misc]

    def _compute_metrics(self, batch: KVBatchMeta, metrics: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        found = super()._compute_metrics(batch, metrics, *args, **kwargs)  # type: ignore[misc]
        self._health_lines = self._health.update(self.global_steps, plain_line(metrics, self.global_steps))
        metrics.update(health_metrics(self._health_lines))
        return found

    def step(self, metrics: dict[str, Any], timing_raw: dict[str, float]) -> KVBatchMeta:
        self.search.phase("generation")
        self._step_metrics = metrics
        try:
            batch = super().step(metrics, timing_raw)  # type: ignore[misc]
        except Exception:
            self.search.raise_failure()  # where episodes failed, that is the reason, and this its consequence
            raise
        started = time.perf_counter()
        self.search.phase("critic export")
        metrics.setdefault(POLICY_CHANGE, 0.0)  # a warm-up of the critic
        metrics.setdefault(CRITIC_CHANGE, 0.0)  # no critic
        metrics.update(self._export_values() if self.use_critic else NO_EXPORT)  # type: ignore[attr-defined]
        if self._search_asks_policy:
            self._sync_weights()  # earlier than verl does it: challengers are graded by the policy as it is now
        metrics.update(self.search.finish_step(self.global_steps))
        timing_raw["search"] = time.perf_counter() - started
        return batch

    def _fetch_one_gen_batch(self) -> Any:
        batch = super()._fetch_one_gen_batch()  # type: ignore[misc]
        for uid in batch["uid"]:
            self._drawn[str(uid)] = len(self._drawn)
        return batch

    def _balance_batch(self, batch: KVBatchMeta, *args: Any, **kwargs: Any) -> KVBatchMeta:
        """verl has the rows as their episodes ended, which no seed decides, and cuts mini-batches by position."""
        places = [split_key(key) for key in batch.keys]
        drawn = [(self._drawn.get(uid, -1), session, step) for uid, session, step in places]
        batch.reorder(sorted(range(len(drawn)), key=drawn.__getitem__))
        batch = super()._balance_batch(batch, *args, **kwargs)  # type: ignore[misc]
        ranks = max(self.actor_rollout_wg._dispatch_info["actor"]) + 1  # type: ignore[attr-defined]
        padding = [bool(tag.get("is_padding", False)) for tag in batch.tags]
        batch.reorder(spread_padding(padding, ranks, self._mini_batches(len(batch))))
        return batch

    def _mini_batches(self, rows: int) -> int:
        """How many the rows are cut into: the policy's or the critic's, whichever is trained and has more."""
        prompts = []
        if self.use_critic:  # type: ignore[attr-defined]
            prompts.append(int(self.config.critic.ppo_mini_batch_size))
        if self.config.trainer.critic_warmup <= self.global_steps:
            prompts.append(int(self.config.actor_rollout_ref.actor.ppo_mini_batch_size))
        return rows // (min(prompts) * int(self.config.actor_rollout_ref.rollout.n)) if prompts else 1

    def _export_values(self) -> dict[str, float]:
        groups, kept = self.search.to_score(self.global_steps)
        batch_size = int(self.config.critic.get("forward_micro_batch_size_per_gpu") or EXPORT_BATCH)
        export = export_values(self.critic_wg, groups, kept, batch_size=batch_size)  # type: ignore[attr-defined]
        judged = self.search.publish(self.global_steps, export.values, self._predictions)
        if self._q_link is not None:
            self._q_link.publish(self.critic_wg, self.global_steps)  # type: ignore[attr-defined]
        return {**export.metrics, **judged}

    def _compute_old_log_prob(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        self.search.phase("update")
        batch = super()._compute_old_log_prob(batch, metrics)  # type: ignore[misc]
        metrics.update(_legal_mass(batch))
        return batch

    def _compute_advantage(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        sessions = {split_key(key)[:2] for key in real_keys(batch)}
        merged = self.search.merge(self.global_steps, sorted(sessions))
        metrics.update(merged.metrics)
        if self._replay_fraction:
            self.search.keep_rows(self.global_steps, read_rows(batch, merged.targets))
        self._predictions = predictions(batch) if self.use_critic else {}  # type: ignore[attr-defined]
        data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=["extra_fields"])
        fields = [getattr(item, "data", item) for item in data["extra_fields"]]
        rows = step_rows(batch.keys, batch.tags, fields, merged.targets)
        with advantage_context(rows, self.config.env.returns) as context:
            batch = super()._compute_advantage(batch, metrics)  # type: ignore[misc]
        metrics.update(_advantage_metrics(context))
        return batch

    def _update_critic(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        with _measured(self.critic_wg, metrics, CRITIC_CHANGE):  # type: ignore[attr-defined]
            if not self._replay_fraction:
                return super()._update_critic(batch, metrics)  # type: ignore[misc]
            count = math.ceil(round(self._replay_fraction * len(real_keys(batch)), 6))  # 0.1 * 30 is a little over 3
            rows = self.search.replay(self.global_steps, count)
            replay = CriticReplay(self.critic_wg, rows, self.config)  # type: ignore[attr-defined]
            batch = super()._update_critic(batch, metrics)  # type: ignore[misc]
            metrics.update(replay.update())
            return batch

    def _update_actor(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        with _measured(self.actor_rollout_wg, metrics, POLICY_CHANGE):  # type: ignore[attr-defined]
            return super()._update_actor(batch, metrics)  # type: ignore[misc]

    def _save_checkpoint(self) -> None:
        super()._save_checkpoint()  # type: ignore[misc]
        folder = self._checkpoint_folder(self.global_steps)
        # verl logs a step after its checkpoint; a kill in between must not lose the line.
        write_metrics(folder / STEP_METRICS, self.global_steps, self._step_metrics)
        checkpoints.mark_complete(folder)
        checkpoints.keep_newest(folder.parent, self._keep_checkpoints)

    def _checkpoint_folder(self, step: int) -> Path:
        return Path(self.config.trainer.default_local_dir) / f"global_step_{step}"

    def on_step_end(self) -> None:
        if not self._search_asks_policy:
            self._sync_weights()
        pending = getattr(self, "_pending_sync_metrics", None) or {}
        self._pending_sync_metrics = {**pending, **self._weight_change()}

    def _weight_change(self) -> dict[str, float]:
        """Relative change of the rollout's weights in the last sync; only our own server can tell."""
        if self.config.actor_rollout_ref.rollout.name != "hf":
            return {}
        servers: Sequence[Any] = self.llm_server_manager.server_handles  # type: ignore[attr-defined]
        return {"rollout/weights_change": max(ray.get([server.relative_change.remote() for server in servers]))}


@register_trainer("aflow_sync")
class AflowSyncTrainer(SearchInTheLoop, PPOTrainerSync):
    """verl's synchronous trainer with the search in the loop."""

    @property
    def trainer_mode(self) -> str:
        """verl compares the mode with the literal ``sync``; any other name would select its asynchronous buffer."""
        return "sync"

    @trainer_mode.setter
    def trainer_mode(self, value: str) -> None:
        """verl sets the registered name; what it means is fixed above."""


@contextmanager
def _measured(workers: Any, metrics: dict[str, Any], name: str) -> Iterator[None]:
    """Write down how far the workers' parameters moved in the block."""
    workers.remember_parameters()
    yield
    metrics[name] = relative_change(workers.moved_since())


def _search_asks_policy(config: DictConfig) -> bool:
    """Whether the policy itself runs the workflows, or writes them for a policy that suggests."""
    kinds = [config.models.executor.kind]
    if config.env.action_format == "suggest":
        kinds.append(config.models.editor.kind)
    return "rollout" in kinds


def _legal_mass(batch: KVBatchMeta) -> dict[str, float]:
    """Mean unrestricted probability of the legal sets that left a choice; 1.0 where nothing was restricted."""
    data = tq.kv_batch_get(keys=real_keys(batch), partition_id=batch.partition_id, select_fields=[LEGAL_MASS])
    if LEGAL_MASS not in data:
        return {"policy/legal_mass": 1.0}
    # The first restricted position is the choice; a forced end-of-turn token after it is none.
    firsts = [row[~row.isnan()][:1] for row in data[LEGAL_MASS].unbind()]
    masses = [float(mass) for mass in firsts if mass.numel()]
    return {"policy/legal_mass": statistics.fmean(masses) if masses else 1.0}


def _advantage_metrics(context: AdvantageContext) -> dict[str, float]:
    if context.result is None:
        raise RuntimeError("GiGPO was not called: algorithm.adv_estimator must be gigpo")
    real = ~context.rows.padding_B
    rewards = context.rows.step_rewards_B[real]
    return {
        **gigpo_statistics(context.result),
        "env/rows": float(np.count_nonzero(real)),
        "env/step_reward": float(rewards.mean()) if rewards.size else 0.0,
    }
