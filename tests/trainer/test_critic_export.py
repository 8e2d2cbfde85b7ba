"""What the critic says as plain numbers, with a critic that is a table."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from tensordict import TensorDict
from transfer_queue import KVBatchMeta

from aflow_verl.search.qvalues import ScoreGroup
from trainer import critic_export as module
from trainer.critic_export import export_values, predictions


class Critic:
    """V of a prompt is its first token; two ranks share the prompts."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def score_prompts(self, prompts: Sequence[tuple[int, ...]], batch_size: int) -> list[dict[int, float]]:
        self.asked.append(len(prompts))
        return [{i: p[0] / 10 for i, p in enumerate(prompts) if i % 2 == rank} for rank in range(2)]


def test_scored_and_kept_values_make_one_export() -> None:
    groups = [ScoreGroup((3,), "root"), ScoreGroup((9,), None), ScoreGroup((1,), "a")]
    export = export_values(Critic(), groups, {"b": 0.2}, batch_size=4)
    assert export.values == {"root": 0.3, "a": 0.1, "b": 0.2}
    assert export.metrics["critic_export/nodes"] == 2.0


def test_nothing_stale_asks_the_critic_nothing() -> None:
    critic = Critic()
    export = export_values(critic, [], {"root": 0.5}, batch_size=4)
    assert critic.asked == []
    assert export.values == {"root": 0.5}
    assert export.metrics["critic_export/nodes"] == 0.0


def test_predictions_are_the_first_and_the_last_value_of_real_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    def get(keys: list[str], partition_id: str, select_fields: list[str]) -> Any:
        assert (keys, partition_id, select_fields) == (["u_0_1", "u_0_0", "w_2_0"], "train", ["values"])
        values = [[0.1, 0.5, 0.2], [0.3, 0.4], [-0.6]]
        nested = torch.nested.as_nested_tensor([torch.tensor(row) for row in values], layout=torch.jagged)
        return TensorDict({"values": nested}, batch_size=[3])

    monkeypatch.setattr(module.tq, "kv_batch_get", get)
    keys = ["u_0_1", "pad_0_0", "u_0_0", "w_2_0"]
    batch = KVBatchMeta(partition_id="train", keys=keys, tags=[{}, {"is_padding": True}, {}, {}])
    found = predictions(batch)
    assert found[("u", 0, 1)] == pytest.approx((0.1, 0.2))
    assert found[("u", 0, 0)] == pytest.approx((0.3, 0.4))
    assert found[("w", 2, 0)] == pytest.approx((-0.6, -0.6)), "an empty reply: Q is V"
    assert len(found) == 3
