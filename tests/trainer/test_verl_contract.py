"""What the project relies on in verl, one behaviour a test: a verl upgrade fails here first, and says why."""

import inspect
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import verl
from omegaconf import OmegaConf
from tensordict import TensorDict
from torch.distributed.tensor import DTensor
from verl.experimental.agent_loop.agent_loop import AgentLoopMetrics, AgentLoopOutput
from verl.protocol import DataProto
from verl.trainer.ppo import padding_utils
from verl.trainer.ppo.core_algos import (
    agg_loss,
    compute_policy_loss_vanilla,
    compute_value_loss,
    register_adv_est,
)
from verl.trainer.ppo.ray_trainer import compute_advantage
from verl.trainer.ppo.v1 import agent_loop_tq
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer
from verl.trainer.ppo.v1.trainer_base import PPOTrainer
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.utils import tensordict_utils as tu
from verl.workers.engine.fsdp.transformer_impl import FSDPEngine, FSDPEngineWithLMHead
from verl.workers.engine_workers import ActorRolloutRefWorker, TrainingWorker
from verl.workers.rollout.base import BaseRollout
from verl.workers.rollout.llm_server import LLMServerClient
from verl.workers.rollout.replica import RolloutReplica, TokenOutput
from verl.workers.utils.losses import value_loss

from trainer.advantage import split_key


def test_version() -> None:
    assert verl.__version__ == "0.9.1", "read VERL's changes, then these tests, then raise the pin in pyproject.toml"


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("_build_replay_buffer", []),
        ("_init_resource_pool_mgr", []),
        ("_setup", []),
        ("_load_checkpoint", []),
        ("_save_checkpoint", []),
        ("on_init_end", []),
        ("on_train_begin", []),
        ("on_sample_end", []),
        ("on_step_end", []),
        ("get_llm_client", []),
        ("fit", ["agent_loop_manager"]),
        ("step", ["metrics", "timing_raw"]),
        ("_fetch_one_gen_batch", []),
        ("_balance_batch", ["batch", "metrics", "logging_prefix", "keep_minibatch"]),
        ("_compute_old_log_prob", ["batch", "metrics"]),
        ("_compute_advantage", ["batch", "metrics"]),
        ("_update_critic", ["batch", "metrics"]),
        ("_update_actor", ["batch", "metrics"]),
        ("_consume_sync_metrics", []),
    ],
)
def test_the_trainer_has_the_hooks_that_the_mixin_overrides(method: str, parameters: list[str]) -> None:
    assert list(inspect.signature(getattr(PPOTrainerSync, method)).parameters)[1:] == parameters


def test_the_mode_is_compared_with_the_literal_sync() -> None:
    """So a trainer registered under another name has to say "sync" itself."""
    source = inspect.getsource(PPOTrainer)
    assert 'self.trainer_mode == "sync"' in source
    assert 'self.trainer_mode != "sync"' in source
    assert "self.trainer_mode = self.config.trainer.v1.trainer_mode" in source


def test_a_step_saves_its_checkpoint_after_step_and_before_on_step_end() -> None:
    """Tree and values are the step's by then, so a checkpoint never lacks them."""
    source = inspect.getsource(PPOTrainer.fit)
    assert source.index("self.step(metrics") < source.index("self._save_checkpoint()") < source.index("on_step_end()")
    assert (
        source.index("on_step_end()") < source.index("_consume_sync_metrics()") < source.index("logger.log(data=metr")
    )


def test_the_rollout_servers_sleep_from_the_end_of_sampling_to_the_weight_sync() -> None:
    """So whoever asks the policy pauses in ``on_sample_end``, and goes on after ``on_init_end`` or ``on_step_end``."""
    assert "update_weights(self.global_steps)" in inspect.getsource(PPOTrainerSync.on_init_end)
    assert "update_weights(self.global_steps)" in inspect.getsource(PPOTrainerSync.on_step_end)
    assert "sleep_replicas()" in inspect.getsource(PPOTrainerSync.on_sample_end)
    init, once = inspect.getsource(PPOTrainer.init), inspect.getsource(PPOTrainer._step_once)
    assert init.index("self._setup()") < init.index("self.on_init_end()")
    assert once.index("replay_buffer.sample(") < once.index("self.on_sample_end()") < once.index("_update_actor(")


def test_values_are_computed_before_the_critics_update_and_the_actors_comes_after_it() -> None:
    once = inspect.getsource(PPOTrainer._step_once)
    assert once.index("_compute_values(") < once.index("_compute_adv") < once.index("_update_critic(")
    assert once.index("_update_critic(") < once.index("_update_actor(")
    assert 'response_from_nested(data.pop("values"), data["response_mask"])' in inspect.getsource(
        PPOTrainer._compute_values
    ), "so a row's values begin at its last prompt token"


def test_prompts_are_named_where_they_are_drawn_and_rows_padded_after_their_order_is_made() -> None:
    assert 'batch_dict["uid"] = ' in inspect.getsource(PPOTrainer._fetch_one_gen_batch)
    once, balance = inspect.getsource(PPOTrainer._step_once), inspect.getsource(PPOTrainer._balance_batch)
    assert once.index("replay_buffer.sample(") < once.index("_balance_batch(") < once.index("_compute_old_log_prob(")
    assert balance.index("upsample_batch_to_divisible_size(") < balance.index("batch.reorder(")


def test_the_learning_rates_schedule_moves_where_train_batch_is_told_to() -> None:
    """A replay tells nothing, and verl's own update tells it once a step."""
    train, mini = inspect.getsource(TrainingWorker.train_batch), inspect.getsource(TrainingWorker.train_mini_batch)
    assert 'update_lr_scheduler = tu.get(data, key="update_lr_scheduler", default=False)' in train
    assert "update_lr_scheduler=batch_idx == total_num_iterations - 1" in mini
    assert "self.train_batch(mini_batch_td)" in mini


def test_the_value_loss_reads_three_columns_and_three_settings() -> None:
    """So ``EndsLoss`` gives it a mask of its own, and stands in the place of the configuration."""
    source = inspect.getsource(value_loss)
    assert 'data.select("values", "returns", "response_mask")' in source
    assert set(re.findall(r"config\.(\w+)", source)) == {"cliprange_value", "loss_agg_mode", "loss_scale_factor"}
    assert "self.critic_wg.set_loss_fn(value_loss_)" in inspect.getsource(PPOTrainer._setup)
    assert "loss_function=self.loss_fn" in inspect.getsource(TrainingWorker.train_batch)


def test_a_sequence_mean_weighs_replies_alike_and_padding_not_at_all() -> None:
    """Rows: loss 1 on 4 tokens, loss 3 on 1 token, padding; of a mini-batch of 4 rows on two ranks: (1 + 3) / 4 * 2."""
    losses = torch.tensor([[1.0, 1.0, 1.0, 1.0], [3.0, 0.0, 0.0, 0.0], [9.0, 0.0, 0.0, 0.0]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 0, 0, 0], [0, 0, 0, 0]])
    mean = agg_loss(losses, mask, "seq-mean-token-mean", dp_size=2, batch_num_tokens=999, global_batch_size=4)
    assert float(mean) == pytest.approx(2.0)
    assert "agg_loss(" in inspect.getsource(compute_value_loss)
    assert "agg_loss(" in inspect.getsource(compute_policy_loss_vanilla)


def test_a_rank_cuts_its_rows_into_mini_batches_by_position() -> None:
    """So padding has to be dealt out beforehand."""
    balance, multiple = (
        inspect.getsource(f) for f in (PPOTrainer._balance_batch, PPOTrainer._get_required_batch_multiple)
    )
    assert "worker_group._dispatch_info[role]" in balance
    assert "dp_size = max(dp_rank_mapping) + 1" in balance
    assert "self.config.trainer.critic_warmup <= self.global_steps" in multiple
    assert multiple.count("self.config.actor_rollout_ref.rollout.n") == 2
    assert "mini_batch_size // self.engine.get_data_parallel_size()" in inspect.getsource(
        TrainingWorker.train_mini_batch
    )
    data = TensorDict({"row": torch.arange(6)}, batch_size=[6])
    pieces = tu.make_iterator(data, mini_batch_size=2, epochs=1, seed=1, dataloader_kwargs={"shuffle": False})
    assert [piece["row"].tolist() for piece in pieces] == [[0, 1], [2, 3], [4, 5]]


def test_an_engine_builds_its_module_before_it_is_sharded() -> None:
    """Where a new value head becomes zero; ranks without weights get those of the first one."""
    source = inspect.getsource(FSDPEngine._build_model_optimizer)
    assert source.index("self._build_module()") < source.index("self._build_fsdp_module(module)")


def test_a_batch_may_bring_its_own_micro_batch() -> None:
    """Values of replayed rows are asked for in the micro-batches that they are trained in."""
    source = inspect.getsource(TrainingWorker.infer_batch)
    assert "micro_batch_size_per_gpu=" in source
    assert "if key not in data.keys():" in source


def test_loggers_are_a_dict_of_objects_with_log() -> None:
    from verl.utils.tracking import Tracking

    assert "self.logger.items()" in inspect.getsource(Tracking.log)
    assert list(inspect.signature(Tracking.log).parameters)[1:3] == ["data", "step"]


def test_the_replay_buffer_polls_at_an_attribute() -> None:
    assert inspect.signature(ReplayBuffer.__init__).parameters["poll_interval"].default == 2.0
    assert "time.sleep(self.poll_interval)" in inspect.getsource(ReplayBuffer)


def test_worker_classes_are_named_by_attributes() -> None:
    assert ActorRolloutRefWorker.actor_worker_cls is TrainingWorker
    assert ActorRolloutRefWorker.ref_worker_cls is TrainingWorker


def test_engine_hook_of_restricted_decoding() -> None:
    parameters = list(inspect.signature(FSDPEngineWithLMHead.prepare_model_outputs).parameters)
    assert parameters[1:] == ["output", "output_args", "micro_batch", "logits_processor_func"]
    assert "logits_rmpad = output.logits.squeeze(0)" in inspect.getsource(FSDPEngineWithLMHead.prepare_model_outputs)


def test_an_engine_yields_its_whole_weights_by_the_names_of_its_model(make_engine: Callable[..., Any]) -> None:
    """What the copy of the critic is filled with; gathering is a collective, so it comes as a generator."""
    engine = make_engine("value_model")
    named, adapters = engine.get_per_tensor_param()
    weights = dict(named)
    assert adapters is None
    assert {name: value.shape for name, value in weights.items()} == {
        name: value.shape for name, value in engine.module.state_dict().items()
    }
    assert not any(isinstance(value, DTensor) for value in weights.values())
    source = inspect.getsource(ActorRolloutRefWorker.update_weights)
    assert "per_tensor_param, _ = self.actor.engine.get_per_tensor_param()" in source


def test_rollout_interfaces() -> None:
    assert {"resume", "release", "update_weights"} <= BaseRollout.__abstractmethods__
    assert "launch_servers" in RolloutReplica.__abstractmethods__
    assert {"token_ids", "log_probs", "stop_reason", "num_preempted", "extra_fields"} <= set(TokenOutput.model_fields)
    source = inspect.getsource(LLMServerClient.generate)
    for name in ("request_id=", "prompt_ids=prompt_ids", "sampling_params=sampling_params", '"global_steps"'):
        assert name in source


# ---- rows of several steps an episode ------------------------------------------------------------------------------


def _output(step: int) -> AgentLoopOutput:
    output = AgentLoopOutput(
        prompt_ids=[5, 6, 7],
        response_ids=[8, 2],
        response_mask=[1, 1],
        response_logprobs=[-0.5, 0.0],
        num_turns=2,
        metrics=AgentLoopMetrics(),
        extra_fields={"step_reward": float(step), "reward_extra_info": {}, "min_global_steps": 0},
    )
    output.reward_score = 10.0 + step
    return output


async def _put(monkeypatch: pytest.MonkeyPatch, outputs: list[AgentLoopOutput]) -> dict[str, Any]:
    """What verl's agent loop worker hands to the data queue for one session's outputs."""
    put: dict[str, Any] = {}

    async def capture(**kwargs: Any) -> None:
        put.update(kwargs)

    async def nothing(*_: Any, **__: Any) -> None:
        return None

    monkeypatch.setattr(agent_loop_tq.tq, "async_kv_batch_put", capture)
    worker_class = agent_loop_tq.AgentLoopWorkerTQ.__ray_metadata__.modified_class
    worker = SimpleNamespace(
        _compute_score=nothing,
        _compute_teacher_logprobs=nothing,
        _compute_multi_modal_inputs=lambda output, ids: {},
        _compute_position_ids=lambda ids, mask, inputs: torch.arange(ids.shape[1]).unsqueeze(0),
    )
    await worker_class._agent_loop_postprocess(worker, outputs, False, uid="u_1", session_id=3, global_steps=4)
    return put


async def test_a_list_of_outputs_becomes_rows_keyed_by_uid_session_and_index(monkeypatch: pytest.MonkeyPatch) -> None:
    put = await _put(monkeypatch, [_output(0), _output(1)])
    assert put["keys"] == ["u_1_3_0", "u_1_3_1"]
    assert [split_key(key) for key in put["keys"]] == [("u_1", 3, 0), ("u_1", 3, 1)]
    assert [tag["seq_len"] for tag in put["tags"]] == [5, 5]


async def test_the_last_score_overwrites_the_others_and_extra_fields_survive(monkeypatch: pytest.MonkeyPatch) -> None:
    put = await _put(monkeypatch, [_output(0), _output(1)])
    assert [row.tolist() for row in put["fields"]["rm_scores"].unbind()] == [[0.0, 11.0], [0.0, 11.0]]
    extra = [getattr(item, "data", item) for item in put["fields"]["extra_fields"]]
    assert [fields["step_reward"] for fields in extra] == [0.0, 1.0]


async def test_a_loop_that_scores_must_give_reward_extra_info(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = [_output(0), _output(1)]
    del outputs[-1].extra_fields["reward_extra_info"]
    with pytest.raises(KeyError, match="reward_extra_info"):
        await _put(monkeypatch, outputs)


def test_padding_rows_are_tagged_copies_of_128_tokens() -> None:
    """Their ``extra_fields`` are those of a real row: only the tag tells them apart."""
    source = {
        "prompts": torch.tensor([5, 6]),
        "responses": torch.tensor([8, 2]),
        "position_ids": torch.arange(4),
        "extra_fields": {"step_reward": 1.0, "legal_token_ids": [[8], [2]]},
    }
    row, tag = padding_utils.construct_minimal_padding_template(source, {"seq_len": 4}, eos_token_id=2)
    assert tag["is_padding"] is True
    assert tag["seq_len"] == 128
    assert row["extra_fields"] == source["extra_fields"]
    assert row["responses"].tolist() == [2]
    assert row["response_mask"].tolist() == [0]


def test_an_estimator_is_handed_rewards_mask_config_and_uids_only() -> None:
    seen: dict[str, Any] = {}

    @register_adv_est("contract_probe")
    def probe(**kwargs: Any) -> tuple[torch.Tensor, torch.Tensor]:
        seen.update(kwargs)
        return kwargs["response_mask"] * 1.0, kwargs["response_mask"] * 2.0

    mask = torch.ones(2, 3)
    data = DataProto.from_dict(
        tensors={"token_level_rewards": mask.clone(), "response_mask": mask},
        non_tensors={"uid": np.array(["a", "b"], dtype=object)},
    )
    config = OmegaConf.create({"gamma": 0.9, "gigpo": {"omega": 1.0}})
    out = compute_advantage(data, adv_estimator="contract_probe", config=config)
    assert set(seen) == {"token_level_rewards", "response_mask", "config", "index"}
    assert seen["config"].gigpo.omega == 1.0
    assert torch.equal(out.batch["returns"], mask * 2)


def test_values_and_log_probabilities_of_a_response_start_one_token_before_it() -> None:
    """V(s) is the value at ``prompt_len - 1``; the value after the last token is never trained."""
    from verl.workers.utils.padding import no_padding_2_padding

    def nest(*rows: list[float]) -> torch.Tensor:
        return torch.nested.as_nested_tensor([torch.tensor(row) for row in rows], layout=torch.jagged)

    data = TensorDict({"prompts": nest([1, 2, 3], [1]), "responses": nest([4, 5], [4, 5])}, batch_size=[2])
    whole = nest([0.0, 1.0, 2.0, 3.0, 4.0], [10.0, 11.0, 12.0])
    assert no_padding_2_padding(whole, data).tolist() == [[2.0, 3.0], [10.0, 11.0]]
