"""When the trainer's mixin tells the search what: above all where the policy is a model of the search."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from tensordict import NonTensorStack, TensorDict
from transfer_queue import KVBatchMeta

from aflow_verl.errors import UserError
from aflow_verl.search.replay import ReplayRow
from aflow_verl.search.targets import MergedStep, RowTarget
from trainer import ppo_trainer
from trainer.advantage import gigpo_estimator
from trainer.parameter_change import Moved
from trainer.ppo_trainer import SearchInTheLoop
from trainer.rollout.gateway import RolloutGateway


class _Search:
    """Writes down what it is told."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.failure: Exception | None = None
        self.told: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        def told(*arguments: Any) -> Any:
            if name != "phase":
                self.log.append(name)
            self.told[name] = arguments
            if name == "merge":
                return MergedStep({"search/merged": 1.0}, TARGETS)
            return ([], {}) if name == "to_score" else arguments if name == "replay" else {}

        return told

    def raise_failure(self, kind: type[Exception] = Exception) -> None:
        if isinstance(self.failure, kind):
            raise self.failure


class _Verl:
    """verl's synchronous trainer in outline; a step of it samples and updates."""

    def __init__(self, config: DictConfig) -> None:
        self.config, self.global_steps, self.use_critic, self.log = config, 0, False, LOG

    def on_init_end(self) -> None:
        self.log.append("weights")

    def on_sample_end(self) -> None:
        self.log.append("sleep")

    def on_step_end(self) -> None:
        self.log.append("weights")

    def _fetch_one_gen_batch(self) -> Any:
        return {"uid": [f"{name}{self.global_steps}" for name in ("z", "a")]}  # as random as verl's

    padding = 0

    def _balance_batch(self, batch: Any, metrics: dict[str, Any]) -> Any:
        return KVBatchMeta(
            partition_id=batch.partition_id,
            keys=batch.keys + [f"pad_{k}_0" for k in range(self.padding)],
            tags=batch.tags + [{"is_padding": True, "seq_len": 128} for _ in range(self.padding)],
        )

    def _compute_advantage(self, batch: Any, metrics: dict[str, Any]) -> Any:
        self.log.append("advantage")
        mask = torch.ones(len(batch.keys), 2)
        config = OmegaConf.create({"gamma": 1.0})
        advantages, self.returns = gigpo_estimator(torch.zeros(len(batch.keys), 2), mask, config=config)
        self.advantages = dict(zip(batch.keys, advantages[:, 0].tolist(), strict=True))
        return batch

    def _update_critic(self, batch: Any, metrics: dict[str, Any]) -> Any:
        self.log.append("critic")
        metrics["critic/vf_loss"] = 1.0
        return batch

    def _update_actor(self, batch: Any, metrics: dict[str, Any]) -> Any:
        self.log.append("actor")
        return batch

    def get_llm_client(self) -> str:
        return "client"

    def step(self, metrics: dict[str, Any], timing_raw: dict[str, float]) -> Any:
        self.on_sample_end()
        self._compute_advantage(BATCH, metrics)
        self.log.append("update")
        return BATCH

    def fit(self, agent_loop_manager: Any) -> None:
        self.global_steps += 1
        self.step({}, {})  # type: ignore[attr-defined]
        self.log.append("checkpoint")
        self.on_step_end()


LOG: list[str] = []

# Two sessions that edit one state, and a row that only fills the batch.
BATCH = KVBatchMeta(
    partition_id="train",
    keys=["u_1_0", "u_0_0", "pad_0_0"],
    tags=[{"seq_len": 4}, {"seq_len": 4}, {"is_padding": True}],
)
TARGETS = {
    ("u", 0, 0): RowTarget(0.3, q=0.2, v=0.1, invalid=False, neutral=False),
    ("u", 1, 0): RowTarget(0.1, q=-0.2, v=0.1, invalid=False, neutral=False),
}
ROW = {"anchor": "s0", "episode_return": 0.0}


def _rows_of_the_queue(keys: list[str], partition_id: str, select_fields: list[str]) -> Any:
    """What verl's data queue holds of ``BATCH``."""
    columns = {
        "extra_fields": NonTensorStack(*[{**ROW, "step_reward": 0.0} for _ in keys]),
        "values": torch.nested.as_nested_tensor([torch.tensor([0.5, 0.6]) for _ in keys], layout=torch.jagged),
        "prompts": torch.nested.as_nested_tensor([torch.tensor([5, 6]) for _ in keys], layout=torch.jagged),
        "responses": torch.nested.as_nested_tensor([torch.tensor([7, 2]) for _ in keys], layout=torch.jagged),
    }
    return TensorDict({name: columns[name] for name in select_fields}, batch_size=[len(keys)])


class _Trainer(SearchInTheLoop, _Verl):
    pass


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Any:
    """``make(executor, editor="anthropic", action_format="edit")``: a trainer whose search writes down what happens."""
    LOG.clear()
    monkeypatch.setattr(ppo_trainer.SearchLink, "connect", lambda: _Search(LOG))
    monkeypatch.setattr(ppo_trainer, "start_gateway", lambda client: f"gateway to {client}")
    monkeypatch.setattr(ppo_trainer.tq, "kv_batch_get", _rows_of_the_queue)

    def made(executor: str, editor: str = "anthropic", action_format: str = "edit") -> _Trainer:
        config = {
            "trainer": {"max_actor_ckpt_to_keep": 2, "max_critic_ckpt_to_keep": 2, "critic_warmup": 0},
            "models": {"executor": {"kind": executor}, "editor": {"kind": editor}},
            "env": {"action_format": action_format, "returns": "tree"},
            "experience": {"replay_fraction": 0.0},
            "actor_rollout_ref": {"rollout": {"name": "vllm", "n": 2}, "actor": {"ppo_mini_batch_size": 3}},
        }
        trainer = _Trainer(OmegaConf.create(config))
        trainer.actor_rollout_wg = SimpleNamespace(_dispatch_info={"actor": [0]})
        return trainer

    return made


def test_with_another_executor_verls_order_stays(make: Any) -> None:
    trainer = make("local", editor="rollout")  # an editor that nobody asks
    trainer.on_init_end()
    trainer.fit(None)
    started, trained = ["weights", "resume"], ["sleep", "merge", "advantage", "update", "finish_step"]
    assert [*started, *trained, "checkpoint", "weights", "finish"] == LOG


@pytest.mark.parametrize(
    ("executor", "editor", "action_format"), [("rollout", "local", "edit"), ("local", "rollout", "suggest")]
)
def test_the_policy_is_asked_only_while_it_is_awake_and_new(
    make: Any, executor: str, editor: str, action_format: str
) -> None:
    trainer = make(executor, editor, action_format)
    trainer.on_init_end()
    trainer.fit(None)
    started = ["weights", "serve", "resume"]  # the seed is graded by the weights of the checkpoint
    updated = ["pause", "sleep", "merge", "advantage", "update"]
    challenged = ["weights", "serve", "finish_step"]  # and challengers by the new ones
    assert [*started, *updated, *challenged, "checkpoint", "finish"] == LOG


def test_a_users_mistake_stops_before_the_update(make: Any) -> None:
    trainer = make("local")
    trainer.search.failure = UserError("the key was refused")
    with pytest.raises(UserError, match="the key was refused"):
        trainer.fit(None)
    assert "update" not in LOG


def test_rows_lie_as_their_prompts_were_drawn_whatever_ended_first(make: Any) -> None:
    trainer = make("local")
    trainer._fetch_one_gen_batch()
    trainer.global_steps = 1
    trainer._fetch_one_gen_batch()
    trainer.config.actor_rollout_ref.actor.ppo_mini_batch_size = 4
    ended = ["a1_0_0", "z0_1_0", "z0_0_1", "z1_0_0", "z0_0_0", "a0_10_0", "a0_9_0"]
    batch = KVBatchMeta(partition_id="train", keys=ended, tags=[{"seq_len": i} for i in range(7)])
    trainer.padding = 1
    batch = trainer._balance_batch(batch, {})
    assert batch.keys == ["z0_0_0", "z0_0_1", "z0_1_0", "a0_9_0", "a0_10_0", "z1_0_0", "a1_0_0", "pad_0_0"]
    assert [tag["seq_len"] for tag in batch.tags] == [4, 2, 1, 6, 5, 3, 0, 128]


def test_padding_is_spread_over_the_mini_batches(make: Any) -> None:
    trainer = make("local")
    trainer.config.actor_rollout_ref.actor.ppo_mini_batch_size = 2  # of two sessions: four rows
    keys = [f"u_0_{step}" for step in range(5)]
    batch = KVBatchMeta(partition_id="train", keys=keys, tags=[{"seq_len": 9}] * 5)
    trainer.padding = 3
    batch = trainer._balance_batch(batch, {})
    real = [not tag.get("is_padding", False) for tag in batch.tags]
    assert [sum(real[:4]), sum(real[4:])] == [3, 2]
    assert [key for key in batch.keys if key in keys] == keys


def test_mini_batches_are_those_of_whoever_is_trained(make: Any) -> None:
    trainer = make("local")
    trainer.config.critic = {"ppo_mini_batch_size": 4}
    assert trainer._mini_batches(24) == 4, "the policy's: 3 prompts of 2 sessions"
    trainer.use_critic = True
    trainer.config.actor_rollout_ref.actor.ppo_mini_batch_size = 6
    assert trainer._mini_batches(24) == 3, "the critic's are smaller"
    trainer.config.trainer.critic_warmup = 9
    trainer.config.actor_rollout_ref.actor.ppo_mini_batch_size = 1
    assert trainer._mini_batches(24) == 3, "the policy is not trained yet"


class _Replay:
    """In the place of ``CriticReplay``."""

    def __init__(self, critic: Any, rows: Any, config: DictConfig) -> None:
        LOG.append("old values")
        self.asked = rows

    def update(self) -> dict[str, float]:
        LOG.append("replayed")
        return {"critic/replayed_rows": float(self.asked[1])}


@pytest.mark.parametrize(("fraction", "rows", "asked"), [(0.5, 3, 2), (1.0, 3, 3), (0.1, 30, 3), (0.01, 3, 1)])
def test_a_replay_goes_around_verls_update_of_the_critic(
    make: Any, monkeypatch: pytest.MonkeyPatch, fraction: float, rows: int, asked: int
) -> None:
    monkeypatch.setattr(ppo_trainer, "CriticReplay", _Replay)
    trainer = make("local")
    trainer._replay_fraction, trainer.critic_wg = fraction, _Workers()
    tags = [{}] * rows + [{"is_padding": True}] * 5
    batch = SimpleNamespace(keys=[f"u_0_{i}" for i in range(rows + 5)], tags=tags)
    before, metrics = vars(batch).copy(), {}
    assert trainer._update_critic(batch, metrics) is batch, "the actor's update gets what it always gets"
    assert vars(batch) == before
    assert LOG == ["replay", "old values", "critic", "replayed"]
    assert metrics == {"critic/vf_loss": 1.0, "critic/replayed_rows": asked, "critic/parameter_change": 0.5}


def test_without_replay_nobody_is_asked_for_rows(make: Any) -> None:
    trainer, metrics = make("local"), {}
    trainer.critic_wg = _Workers()
    trainer._update_critic(None, metrics)
    assert LOG == ["critic"]
    assert metrics["critic/parameter_change"] == 0.5


def test_how_far_the_policy_moved_is_measured_around_its_update(make: Any) -> None:
    trainer, metrics = make("local"), {}
    trainer.actor_rollout_wg = _Workers()
    assert trainer._update_actor(BATCH, metrics) is BATCH
    assert LOG == ["actor"]
    assert metrics["policy/parameter_change"] == 0.5
    metrics = {}
    trainer.step(metrics, {})  # this verl updates nothing
    assert metrics["policy/parameter_change"] == metrics["critic/parameter_change"] == 0.0


class _Workers:
    """Two ranks whose parameters move by half of their size in every update."""

    def __init__(self) -> None:
        self.remembered = 0

    def remember_parameters(self) -> None:
        assert not {"critic", "actor"} & set(LOG), "before the update"
        self.remembered += 1

    def moved_since(self) -> list[Moved]:
        assert self.remembered == 1
        assert {"critic", "actor"} & set(LOG), "after it"
        return [Moved(1.0, 5.0), Moved(1.0, 3.0)]


def test_advantages_are_made_of_the_merged_tree(make: Any) -> None:
    trainer, metrics = make("local"), {}
    trainer._compute_advantage(BATCH, metrics)
    assert LOG == ["merge", "advantage"]
    assert trainer.advantages == pytest.approx({"u_1_0": -0.1, "u_0_0": 0.1, "pad_0_0": 0.0})
    assert trainer.returns.tolist() == [pytest.approx([0.1, -0.2]), pytest.approx([0.1, 0.2]), [0.0, 0.0]]
    assert metrics["search/merged"] == 1.0
    assert metrics["gigpo/live_rows"] == 1.0
    assert metrics["env/rows"] == 2.0


def test_rows_are_kept_for_replay_with_their_targets(make: Any) -> None:
    trainer = make("local")
    trainer._replay_fraction = 0.5
    trainer._compute_advantage(BATCH, {})
    assert LOG == ["merge", "keep_rows", "advantage"]
    assert trainer.search.told["keep_rows"] == (
        0,
        {("u", 0, 0): ReplayRow((5, 6), (7, 2), 0.1, 0.2), ("u", 1, 0): ReplayRow((5, 6), (7, 2), 0.1, -0.2)},
    )


def test_the_copy_of_the_critic_has_the_weights_of_the_published_values(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = SimpleNamespace(publish=lambda critic, step: LOG.append(f"{critic} {step}"))
    monkeypatch.setattr(ppo_trainer.QLink, "of", lambda config: sent)
    trainer = make("local")
    trainer.use_critic, trainer.critic_wg = True, "critic"
    trainer.config.critic = {}
    trainer.on_init_end()
    assert LOG == ["weights", "resume"], "no values were exported yet"
    trainer.fit(None)
    assert LOG[LOG.index("to_score") :][:3] == ["to_score", "publish", "critic 1"]
    step, values, predicted = trainer.search.told["publish"]
    assert (step, values) == (1, {})
    assert predicted == {key: pytest.approx((0.5, 0.6)) for key in TARGETS}, "as the critic was before the update"
    LOG.clear()
    trainer.on_init_end()  # as after a resume: the values of step 1 are in the store
    assert LOG == ["weights", "critic 1", "resume"]


async def test_the_gateway_speaks_plain_data() -> None:
    asked = []

    async def generate(**call: Any) -> Any:
        asked.append(call)
        return SimpleNamespace(token_ids=(7, 8), extra_fields={"global_steps": 3})

    gateway = RolloutGateway(SimpleNamespace(generate=generate))
    assert await gateway.generate([1, 2], {"max_tokens": 4}) == ([7, 8], 3)
    assert await gateway.generate([1, 2], {"max_tokens": 4}) == ([7, 8], 3)
    assert asked[0].pop("request_id") != asked[1].pop("request_id")
    assert asked == [{"prompt_ids": [1, 2], "sampling_params": {"max_tokens": 4}}] * 2
