"""Rows of earlier episodes in the critic's update: verl's own loss and engine on a CPU, without Ray."""

import math
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from tensordict import TensorDict
from transfer_queue import KVBatchMeta
from verl.utils import tensordict_utils as tu
from verl.workers.config import ActorConfig
from verl.workers.utils.losses import ppo_loss

from aflow_verl.search.replay import ReplayRow
from aflow_verl.search.targets import RowTarget
from trainer import replay as module
from trainer.critic_targets import EndsLoss, ends
from trainer.replay import CriticReplay, Sizes, read_rows, replay_batch, sizes
from trainer.workers import AflowTrainingWorker

ROWS = [
    ReplayRow((5, 6, 7), (8, 2), 0.9, 0.5),
    ReplayRow((5, 9), (4, 6, 2), -0.7, -0.2),
    ReplayRow((3, 3, 3, 3), (11,), 0.4, 0.1),
]
TARGETS = {
    ("u_1", 3, 0): RowTarget(1.0, q=0.5, v=0.9, invalid=False, neutral=False),
    ("u_1", 3, 1): RowTarget(2.0, q=-0.2, v=-0.7, invalid=False, neutral=False),
}
CONFIG = OmegaConf.create(
    {
        "critic": {
            "use_dynamic_bsz": False,
            "ppo_micro_batch_size_per_gpu": 2,
            "ppo_mini_batch_size": 2,
            "ppo_epochs": 1,
        },
        "actor_rollout_ref": {"rollout": {"n": 2, "temperature": 1.0}},
    }
)


def test_sizes_by_hand() -> None:
    assert sizes(3, largest=8, unit=2) == Sizes(1, 4)
    assert sizes(8, largest=8, unit=8) == Sizes(1, 8)
    assert sizes(9, largest=8, unit=2) == Sizes(2, 6)  # two of 5 rows, in whole micro-batches
    assert sizes(17, largest=8, unit=1).rows == 18


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 120), st.integers(1, 8), st.integers(1, 6))
def test_every_mini_batch_has_a_real_row_and_whole_micro_batches(rows: int, unit: int, units: int) -> None:
    made = sizes(rows, largest=unit * units, unit=unit)
    assert made.mini_batch % unit == 0
    assert made.mini_batch <= unit * units
    assert (made.mini_batches - 1) * made.mini_batch < rows <= made.rows
    ranks = [r for r in range(1, unit + 1) if unit % r == 0]
    for dealt_to in ranks:  # as verl cuts it: one stretch a rank, the k-th piece of each is the k-th mini-batch
        real = replay_batch([ROWS[2]] * rows, made.rows, dealt_to)["response_mask"].values().reshape(dealt_to, -1)
        assert (real.reshape(dealt_to, made.mini_batches, -1).sum((0, 2)) > 0).all()
        assert int(real.sum()) == rows


def test_rows_are_dealt_out_to_the_ranks() -> None:
    batch = replay_batch(ROWS, 4, ranks=2)
    assert [ids.tolist() for ids in batch["input_ids"].unbind()] == [
        [5, 6, 7, 8, 2],
        [3, 3, 3, 3, 11],
        [5, 9, 4, 6, 2],
        [0, 0],
    ]
    assert [mask.tolist() for mask in batch["loss_mask"].unbind()] == [[1, 1], [1], [1, 1, 1], [0]]
    assert [ids.tolist() for ids in batch["position_ids"].unbind()][1] == [0, 1, 2, 3, 4]
    targets = [row.tolist() for row in batch["returns"].unbind()]
    assert targets == [pytest.approx(row) for row in ([0.9, 0.5], [0.4], [-0.7, -0.2, -0.2], [0.0])]


def test_real_rows_of_a_batch_are_read_by_key(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def get(keys: list[str], partition_id: str, select_fields: list[str]) -> Any:
        asked.update(keys=keys, fields=select_fields)
        batch = replay_batch([ROWS[1], ROWS[0]], 2, 1)
        return TensorDict({name: batch[name] for name in select_fields}, batch_size=[2])

    monkeypatch.setattr(module.tq, "kv_batch_get", get)
    tags = [{"is_padding": True}, {}, {}]
    batch = KVBatchMeta(partition_id="train", keys=["pad_0_0", "u_1_3_1", "u_1_3_0"], tags=tags)
    found = read_rows(batch, TARGETS)
    assert asked["keys"] == ["u_1_3_1", "u_1_3_0"]
    assert found == {("u_1", 3, 1): ROWS[1], ("u_1", 3, 0): ROWS[0]}


class _Group:
    """verl's worker group, for one worker in this process; keeps what it is handed."""

    world_size = 1

    def __init__(self, worker: Any) -> None:
        self.worker = worker
        self.trained: list[TensorDict] = []

    def infer_batch(self, data: TensorDict) -> Any:
        return SimpleNamespace(get=lambda: self.worker.infer_batch(data))

    def train_replayed(self, data: TensorDict) -> Any:
        self.trained.append(data.clone())
        return SimpleNamespace(get=lambda: self.worker.train_replayed(data))


@pytest.fixture
def critic(make_critic: Callable[[], Any]) -> _Group:
    return _group(make_critic())


def _group(engine: Any) -> _Group:
    worker = object.__new__(AflowTrainingWorker)
    worker.__dict__ |= {
        "engine": engine,
        "engine_config": engine.engine_config,
        "model_config": {"use_remove_padding": False},
        "flops_counter": None,
        "device_name": "cpu",
        "loss_fn": EndsLoss(cliprange_value=0.5),
        "profiler": None,
    }
    engine.engine_config.use_dynamic_bsz = False
    engine.engine_config.micro_batch_size_per_gpu = 2
    engine.engine_config.use_fused_kernels = False
    return _Group(worker)


def _distance(critic: _Group) -> float:
    """Squared difference of values and targets: mean over the ends of a reply, then over its 3 rows of 4."""
    batch = CriticReplay(critic, ROWS, CONFIG)._batch
    counts = ends(batch["loss_mask"].to_padded_tensor(0))
    error = (batch["values"].to_padded_tensor(0.0) - batch["returns"].to_padded_tensor(0.0)) ** 2 * counts
    return float((error.sum(-1) / counts.sum(-1).clamp(min=1)).sum() / 4)


def test_the_critic_moves_towards_replayed_targets(critic: _Group) -> None:
    distance = _distance(critic)
    rate = critic.worker.engine.optimizer.param_groups[0]["lr"]
    for _ in range(8):
        metrics = CriticReplay(critic, ROWS, CONFIG).update()
        assert metrics["critic/replayed_rows"] == 3.0
        assert math.isfinite(metrics["critic/replay_vf_loss"])
    assert _distance(critic) < 0.5 * distance
    assert critic.worker.engine.optimizer.param_groups[0]["lr"] == rate, "its schedule counts training steps"
    assert critic.worker.engine.lr_scheduler.last_epoch == 0


def test_the_actor_becomes_bit_for_bit_what_it_would_have_without_replay(
    critic: _Group, make_engine: Callable[..., Any]
) -> None:
    """In one process, as verl places the two: a replay leaves no trace in generators, settings or gradients."""

    def updated(*, replay: bool) -> dict[str, torch.Tensor]:
        actor = make_engine("language_model")
        if replay:
            CriticReplay(critic, ROWS, CONFIG).update()
        batch = replay_batch(ROWS, 4, 1)
        batch["old_log_probs"], batch["advantages"] = batch["returns"] - 4, batch["returns"]
        flags = {"use_remove_padding": False, "use_dynamic_bsz": False, "use_fused_kernels": False}
        tu.assign_non_tensor(batch, temperature=1.0, micro_batch_size_per_gpu=2, global_batch_size=4, **flags)
        tu.assign_non_tensor(batch, calculate_entropy=False)
        settings = ActorConfig(strategy="fsdp2", rollout_n=1, ppo_micro_batch_size_per_gpu=2, use_dynamic_bsz=False)
        with actor.train_mode():
            actor.train_batch(batch, loss_function=partial(ppo_loss, config=settings))
        return weights(actor)

    def weights(actor: Any) -> dict[str, torch.Tensor]:
        return {name: value.detach().clone() for name, value in actor.get_per_tensor_param()[0]}

    def critics() -> list[torch.Tensor]:
        return [value.detach().clone() for value in critic.worker.engine.module.parameters()]

    plain, before = updated(replay=False), critics()
    replayed = updated(replay=True)
    assert any(not torch.equal(old, new) for old, new in zip(before, critics(), strict=True))
    assert plain.keys() == replayed.keys()
    assert any(not torch.equal(plain[name], new) for name, new in weights(make_engine("language_model")).items())
    assert all(torch.equal(plain[name], replayed[name]) for name in plain)


def test_old_values_are_those_before_verls_own_update(critic: _Group) -> None:
    """The loss of the first replay is 0.5 * (V - target)^2 of the values it was made with: nothing is clipped."""
    distance = _distance(critic)
    replay = CriticReplay(critic, ROWS, CONFIG)
    assert replay.update()["critic/replay_vf_loss"] == pytest.approx(0.5 * distance, rel=1e-4)
    [trained] = critic.trained
    later = CriticReplay(critic, ROWS, CONFIG)
    assert not torch.equal(trained["values"].values(), later._batch["values"].values())


def test_asking_for_old_values_leaves_the_critics_own_update_as_it_is(make_critic: Callable[[], Any]) -> None:
    own = [ReplayRow((6, 5), (9, 2), 0.3, 0.1), ReplayRow((7,), (4, 2), -0.2, 0.2)]

    def updated(*, replay: bool) -> list[torch.Tensor]:
        critic = _group(make_critic())
        if replay:
            CriticReplay(critic, ROWS, CONFIG)
        CriticReplay(critic, own, CONFIG).update()
        return [value.detach().clone() for value in critic.worker.engine.module.parameters()]

    assert all(torch.equal(a, b) for a, b in zip(updated(replay=False), updated(replay=True), strict=True))


def test_no_rows_ask_the_critic_nothing() -> None:
    assert CriticReplay(None, [], CONFIG).update() == {"critic/replayed_rows": 0.0}
