"""Speed of the estimator on a large batch, beside the loop-by-loop version in the same run."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch

from trainer.gigpo import gigpo_advantage

GROUPS, STEPS, TOKENS = 256, 8, 512


@dataclass(frozen=True)
class Batch:
    columns: tuple[torch.Tensor, ...]
    mask_BT: torch.Tensor
    parent_step_B: torch.Tensor


def random_batch(rows: int, seed: int = 0) -> Batch:
    """``rows`` steps in 256 groups, 8 steps a trajectory, each made from the one before; shuffled."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(rows, generator=generator)
    trajectory, step = order // STEPS, order % STEPS
    group = trajectory % GROUPS
    anchor = torch.where(step == 0, 0, torch.randint(1, 8 * STEPS, (rows,), generator=generator))
    reward = torch.rand(rows, generator=generator)
    length = torch.randint(1, TOKENS + 1, (rows, 1), generator=generator)
    return Batch((reward, group, trajectory, step, anchor), torch.arange(TOKENS)[None, :] < length, step - 1)


def seconds(call: Callable[[], object], repeats: int) -> float:
    """The fastest of ``repeats`` runs: what the machine's other work slowed down says nothing."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


@pytest.mark.perf
@pytest.mark.parametrize("returns", ["tree", "time"])
def test_is_20_times_faster_than_loops(gigpo_loops: Callable[..., object], returns: str, capsys) -> None:
    batch = random_batch(16_384)
    parent = batch.parent_step_B if returns == "tree" else None
    columns, mask = [c.tolist() for c in batch.columns], batch.mask_BT.int().tolist()
    slow = seconds(lambda: gigpo_loops(*columns, mask, parent_step=None if parent is None else parent.tolist()), 1)
    fast = seconds(lambda: gigpo_advantage(*batch.columns, batch.mask_BT, parent_step_B=parent), 7)
    with capsys.disabled():
        print(f"\ngigpo {returns}: 16,384 rows x 512 tokens, {fast * 1e3:.1f} ms; loops {slow * 1e3:.0f} ms", end=" ")
        print(f"({slow / fast:.0f} times)")
    assert slow / fast >= 20


@pytest.mark.perf
def test_time_is_linear_in_rows(capsys) -> None:
    per_row = {}
    for rows in (4_096, 8_192, 16_384):
        batch = random_batch(rows)
        call = lambda b=batch: gigpo_advantage(*b.columns, b.mask_BT, parent_step_B=b.parent_step_B)  # noqa: E731
        per_row[rows] = seconds(call, 9) / rows
    with capsys.disabled():
        print("\ngigpo: " + ", ".join(f"{rows:,} rows {t * 1e6:.2f} us a row" for rows, t in per_row.items()))
    assert per_row[16_384] / per_row[4_096] < 2
