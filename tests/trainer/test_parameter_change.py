"""How far an update moved a model: by hand, and in the workers."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from trainer import parameter_change
from trainer.parameter_change import Moved, moved, relative_change, sample
from trainer.workers import AflowActorRolloutRefWorker, AflowTrainingWorker


def test_change_by_hand() -> None:
    # Rank 0: (3, 0) -> (3, .3). Rank 1: (4) -> (4.4). |difference| = .5, |before| = 5.
    ranks = [
        moved(torch.tensor([3.0, 0.0]), torch.tensor([3.0, 0.3])),
        moved(torch.tensor([4.0]), torch.tensor([4.4])),
    ]
    assert relative_change(ranks) == pytest.approx(0.1)
    assert relative_change([Moved(0.0, 7.0)]) == 0.0
    assert relative_change([Moved(0.0, 0.0)]) == 0.0


def test_the_sample_is_small_and_has_part_in_every_parameter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parameter_change, "SAMPLE", 10)
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 1))  # 64 + 8 + 8 + 1 numbers: every ninth
    optimizer = torch.optim.SGD(model.parameters())
    found = sample(optimizer)
    assert len(found) == math.ceil(64 / 9) + 1 + 1 + 1
    with torch.no_grad():
        model[1].bias += 1.0
    assert (sample(optimizer) != found).sum() == 1
    assert found.dtype == torch.float32
    assert not found.requires_grad


def _worker(engine: Any) -> AflowActorRolloutRefWorker:
    inner = object.__new__(AflowTrainingWorker)
    inner.engine = engine
    worker = object.__new__(AflowActorRolloutRefWorker)
    worker.actor = inner
    return worker


def _update(engine: Any, *, lr: float, clip_grad: float = 1.0) -> None:
    """One step of the engine's own optimizer."""
    for group in engine.optimizer.param_groups:
        group["lr"], group["weight_decay"] = lr, 0.0
    engine.optimizer_config.__dict__["clip_grad"] = clip_grad
    engine.optimizer_zero_grad()
    engine.module(input_ids=torch.tensor([[5, 6, 7, 8]])).logits.square().mean().backward()
    engine.optimizer_step()


@pytest.mark.parametrize(
    ("settings", "moves"), [({"lr": 0.0}, False), ({"lr": 1e-3, "clip_grad": 0.0}, False), ({"lr": 1e-6}, True)]
)
def test_an_update_that_moves_nothing_reads_exactly_zero(
    make_engine: Callable[..., Any], settings: dict[str, float], moves: bool
) -> None:
    engine = make_engine("language_model")
    worker = _worker(engine)
    worker.remember_parameters()
    _update(engine, **settings)
    with torch.no_grad():
        engine.module(input_ids=torch.tensor([[5]]))  # what it leaves gathered is no change
    change = relative_change([worker.moved_since()])
    assert (change > 0.0) is moves
    assert change < 1e-3
