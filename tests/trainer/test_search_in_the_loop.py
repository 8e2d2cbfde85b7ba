"""When the trainer's mixin tells the search what: above all where the policy is a model of the search."""

from types import SimpleNamespace
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

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
            return ([], {}, {}) if name == "to_score" else {}

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
