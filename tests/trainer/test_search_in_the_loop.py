"""When the trainer's mixin tells the search what: above all where the policy is a model of the search."""

from types import SimpleNamespace
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf
from transfer_queue import KVBatchMeta

from aflow_verl.errors import UserError
from trainer import ppo_trainer
from trainer.ppo_trainer import SearchInTheLoop
from trainer.rollout.gateway import RolloutGateway


class _Search:
    """Writes down what it is told."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.failure: Exception | None = None

    def __getattr__(self, name: str) -> Any:
        def told(*arguments: Any) -> Any:
            if name != "phase":
                self.log.append(name)
            return ([], {}, {}) if name == "to_score" else arguments if name == "replay" else {}

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

    def _balance_batch(self, batch: Any, metrics: dict[str, Any]) -> Any:
        return batch

    def _update_critic(self, batch: Any, metrics: dict[str, Any]) -> Any:
        self.log.append("critic")
        metrics["critic/vf_loss"] = 1.0
        return batch

    def get_llm_client(self) -> str:
        return "client"

    def step(self, metrics: dict[str, Any], timing_raw: dict[str, float]) -> Any:
        self.on_sample_end()
        self.log.append("update")
        return SimpleNamespace(keys=[], tags=[])

    def fit(self, agent_loop_manager: Any) -> None:
        self.global_steps += 1
        self.step({}, {})  # type: ignore[attr-defined]
        self.log.append("checkpoint")
        self.on_step_end()


LOG: list[str] = []


class _Trainer(SearchInTheLoop, _Verl):
    pass


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Any:
    """``make(executor, editor="anthropic", action_format="edit")``: a trainer whose search writes down what happens."""
    LOG.clear()
    monkeypatch.setattr(ppo_trainer.SearchLink, "connect", lambda: _Search(LOG))
    monkeypatch.setattr(ppo_trainer, "start_gateway", lambda client: f"gateway to {client}")

    def made(executor: str, editor: str = "anthropic", action_format: str = "edit") -> _Trainer:
        config = {
            "trainer": {"max_actor_ckpt_to_keep": 2, "max_critic_ckpt_to_keep": 2},
            "models": {"executor": {"kind": executor}, "editor": {"kind": editor}},
            "env": {"action_format": action_format},
            "experience": {"replay_fraction": 0.0},
            "actor_rollout_ref": {"rollout": {"name": "vllm"}},
        }
        return _Trainer(OmegaConf.create(config))

    return made


def test_with_another_executor_verls_order_stays(make: Any) -> None:
    trainer = make("local", editor="rollout")  # an editor that nobody asks
    trainer.on_init_end()
    trainer.fit(None)
    assert LOG == ["weights", "resume", "sleep", "update", "merge", "finish_step", "checkpoint", "weights", "finish"]


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
    updated = ["pause", "sleep", "update", "merge"]
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
    ended = ["a1_0_0", "z0_1_0", "z0_0_1", "z1_0_0", "z0_0_0", "a0_10_0", "a0_9_0"]
    batch = KVBatchMeta(partition_id="train", keys=ended, tags=[{"seq_len": i} for i in range(7)])
    batch = trainer._balance_batch(batch, {})
    assert batch.keys == ["z0_0_0", "z0_0_1", "z0_1_0", "a0_9_0", "a0_10_0", "z1_0_0", "a1_0_0"]
    assert [tag["seq_len"] for tag in batch.tags] == [4, 2, 1, 6, 5, 3, 0]


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
    trainer._replay_fraction, trainer.critic_wg = fraction, None
    tags = [{}] * rows + [{"is_padding": True}] * 5
    batch = SimpleNamespace(keys=[f"u_0_{i}" for i in range(rows + 5)], tags=tags)
    before, metrics = vars(batch).copy(), {}
    assert trainer._update_critic(batch, metrics) is batch, "the actor's update gets what it always gets"
    assert vars(batch) == before
    assert LOG == ["replay", "old values", "critic", "replayed"]
    assert metrics == {"critic/vf_loss": 1.0, "critic/replayed_rows": asked}


def test_without_replay_nobody_is_asked_for_rows(make: Any) -> None:
    make("local")._update_critic(None, {})
    assert LOG == ["critic"]


def test_the_copy_of_the_critic_has_the_weights_of_the_published_values(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = SimpleNamespace(publish=lambda critic, step: LOG.append(f"{critic} {step}"))
    monkeypatch.setattr(ppo_trainer.QLink, "of", lambda config: sent)
    trainer = make("local")
    trainer.use_critic, trainer.critic_wg = True, "critic"
    trainer.config.critic, trainer.config.algorithm = {}, {"gamma": 0.9}
    trainer.on_init_end()
    assert LOG == ["weights", "resume"], "no values were exported yet"
    trainer.fit(None)
    assert LOG[LOG.index("to_score") :][:3] == ["to_score", "publish", "critic 1"]
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
