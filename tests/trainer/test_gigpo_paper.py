"""The vectorised estimator against the paper's formulas written as loops, on random batches."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.gigpo import gigpo_advantage

SETTINGS = st.fixed_dictionaries(
    {
        "gamma": st.sampled_from([0.0, 0.5, 0.95, 1.0]),
        "omega": st.sampled_from([0.0, 0.5, 1.0, 3.0]),
        "norm": st.sampled_from(["mean_norm", "mean_std_norm"]),
        "episode_mean": st.sampled_from(["trajectories", "rows"]),
        "singletons": st.sampled_from(["group", "zero"]),
    }
)
GARBAGE = {"reward": 1e6, "group": 0, "trajectory": 0, "step": 0, "anchor": 0, "parent": -1, "total": -1e6}
GARBAGE |= {"own": -1e6, "invalid": True, "neutral": False}


@dataclass(frozen=True)
class Batch:
    """Rows as dictionaries, a mask row for each, and which optional columns are handed over."""

    rows: tuple[dict[str, Any], ...]
    mask: tuple[tuple[int, ...], ...]
    tree: bool
    own_returns: bool
    own_totals: bool

    def column(self, name: str) -> list[Any]:
        return [row[name] for row in self.rows]

    def required(self) -> list[list[Any]]:
        return [self.column(name) for name in ("reward", "group", "trajectory", "step", "anchor")]

    def optional(self) -> dict[str, list[Any] | None]:
        return {
            "parent_step": self.column("parent") if self.tree else None,
            "step_returns": self.column("own") if self.own_returns else None,
            "invalid": self.column("invalid"),
            "neutral": self.column("neutral"),
            "episode_returns": self.column("total") if self.own_totals else None,
            "padding": self.column("padding"),
        }

    def reordered(self, order: list[int]) -> "Batch":
        return replace(self, rows=tuple(self.rows[i] for i in order), mask=tuple(self.mask[i] for i in order))

    def extended(self, extra: list[dict[str, Any]]) -> "Batch":
        return replace(self, rows=(*self.rows, *extra), mask=self.mask + ((1, 1, 1),) * len(extra))


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """Up to 3 groups of 1 to 4 trajectories of 1 to 5 steps, copies and padding rows among them, shuffled.

    Trajectory ids are unique in the batch, or only within their group.
    """
    reward = st.integers(-4, 8).map(lambda k: k / 8)  # few values, so that equal returns occur
    rows: list[dict[str, Any]] = []
    trajectory, reused = 100, draw(st.booleans())
    for group in range(draw(st.integers(1, 3))):
        trajectory = 100 if reused else trajectory
        for _ in range(draw(st.integers(1, 4))):
            trajectory -= 7
            total = draw(reward)
            steps = sorted(draw(st.sets(st.integers(0, 6), min_size=1, max_size=5)))
            for step in steps:
                ids = {"group": group * 11 - 5, "trajectory": trajectory, "step": step}
                parent = draw(st.sampled_from([-1, *(s for s in steps if s < step)]))
                anchor = draw(st.integers(-1, 2)) * 2**61
                row = {**ids, "reward": draw(reward), "anchor": anchor, "parent": parent, "total": total}
                row |= {"own": draw(reward), "invalid": draw(st.booleans()), "neutral": draw(st.booleans())}
                rows.append({**row, "padding": False})
    rows += [dict(draw(st.sampled_from(rows))) for _ in range(draw(st.integers(0, 3)))]
    rows += [{**GARBAGE, "padding": True} for _ in range(draw(st.integers(0, 2)))]
    rows = draw(st.permutations(rows))
    mask = tuple(tuple(draw(st.tuples(*[st.integers(0, 1)] * 3))) for _ in rows)
    return Batch(tuple(rows), mask, draw(st.booleans()), draw(st.booleans()), draw(st.booleans()))


def estimate(batch: Batch, chosen: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    optional = {f"{name}_B": column for name, column in batch.optional().items()}
    return gigpo_advantage(*batch.required(), torch.tensor(batch.mask), **optional, **chosen)


@settings(max_examples=200, deadline=None)
@given(batch=batches(), chosen=SETTINGS)
def test_agrees_with_the_loops(gigpo_loops: Callable[..., Any], batch: Batch, chosen: dict[str, Any]) -> None:
    advantages_BT, returns_BT = estimate(batch, chosen)
    expected_advantages, expected_returns = gigpo_loops(*batch.required(), batch.mask, **batch.optional(), **chosen)
    np.testing.assert_allclose(advantages_BT.numpy(), expected_advantages, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(returns_BT.numpy(), expected_returns, rtol=1e-5, atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(batch=batches(), chosen=SETTINGS, data=st.data())
def test_permuting_rows_permutes_the_output(batch: Batch, chosen: dict[str, Any], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(batch.rows))))
    for before, after in zip(estimate(batch, chosen), estimate(batch.reordered(order), chosen), strict=True):
        assert torch.equal(after, before[order])


@settings(max_examples=50, deadline=None)
@given(batch=batches(), chosen=SETTINGS, data=st.data())
def test_copies_and_padding_change_nobody_else(batch: Batch, chosen: dict[str, Any], data: st.DataObject) -> None:
    copy = dict(data.draw(st.sampled_from([row for row in batch.rows if not row["padding"]])))
    longer = batch.extended([copy, {**copy, "padding": True}, {**GARBAGE, "padding": True}])
    for before, after in zip(estimate(batch, chosen), estimate(longer, chosen), strict=True):
        assert torch.equal(after[: len(before)], before)
        assert not after[len(before) + 1 :].any()


@settings(max_examples=50, deadline=None)
@given(batch=batches(), chosen=SETTINGS)
def test_ids_are_only_names(batch: Batch, chosen: dict[str, Any]) -> None:
    renamed = replace(
        batch,
        rows=tuple(
            {**row, "group": 3 - row["group"], "trajectory": row["trajectory"] ^ 0x5A5A, "anchor": ~row["anchor"]}
            for row in batch.rows
        ),
    )
    for before, after in zip(estimate(batch, chosen), estimate(renamed, chosen), strict=True):
        np.testing.assert_allclose(after.numpy(), before.numpy(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("tree", [True, False])
@pytest.mark.parametrize("norm", ["mean_norm", "mean_std_norm"])
def test_agrees_with_the_loops_on_a_large_batch(gigpo_loops: Callable[..., Any], tree: bool, norm: str) -> None:
    rng = np.random.default_rng(0)
    rows, steps = 960, 6
    order = rng.permutation(rows)
    trajectory, step = order // steps, order % steps
    required = [rng.normal(size=rows), trajectory // 8, trajectory, step, np.minimum(step, rng.integers(0, 4, rows))]
    parent = np.where(step == 0, -1, rng.integers(-1, np.maximum(step, 1))) if tree else None
    mask = torch.ones(rows, 1)
    advantages_BT, returns_BT = gigpo_advantage(*required, mask, parent_step_B=parent, norm=norm)
    lists = [column.tolist() for column in required]
    parents = None if parent is None else parent.tolist()
    expected_advantages, expected_returns = gigpo_loops(*lists, mask.tolist(), parent_step=parents, norm=norm)
    np.testing.assert_allclose(advantages_BT.numpy(), expected_advantages, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(returns_BT.numpy(), expected_returns, rtol=1e-5, atol=1e-6)
