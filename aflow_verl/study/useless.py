"""What becomes of the best workflow when hundreds of useless ones challenge it."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np

from aflow_verl.evaluation.best_workflow import BestWorkflow
from aflow_verl.study.world import Truth, World

CHALLENGERS = 200
PER_STEP = 2
USELESS = 0.001
"""Mean gain up to which a kind of edit is useless."""


class _Memory:
    """Keeps values as ``search.store.Store`` does, for as long as it lives."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    def get_meta(self, key: str, default: Any = None) -> Any:
        return self._values.get(key, default)

    def put_meta(self, key: str, value: Any) -> None:
        self._values[key] = value


def challenge_with_useless(world: World, seed: int) -> dict[str, float]:
    """``CHALLENGERS`` edits of the seed, of those kinds that bring nothing in the mean, in the shares of the world.

    Returns ``gain``: true score of the workflow delivered less the seed's; ``kept``: 1 where it is the seed. Nothing in
    a world where every kind of edit helps.
    """
    return asyncio.run(_challenge(world, seed))


async def _challenge(world: World, seed: int) -> dict[str, float]:
    truth, rng = Truth(world, seed), np.random.default_rng([seed, 1])
    kinds = [kind for kind in world.edits if kind.gain(world.accuracy) <= USELESS]
    if not kinds:
        return {}
    share = np.array([kind.share for kind in kinds])
    drawn = rng.choice(len(kinds), size=CHALLENGERS, p=share / share.sum())
    states = [truth.edit(truth.root, kinds[k].name)[1] for k in drawn.tolist()]
    best = BestWorkflow("best", _Memory(), truth, truth.validation)
    known = {state.hash: state for state in states}
    await best.resume(truth.root.hash, truth.root, known.__getitem__, 0)
    for step in range(0, CHALLENGERS, PER_STEP):
        await best.challenge([(state.hash, state) for state in states[step : step + PER_STEP]], step, PER_STEP)
    gain = truth.score(best.best.node_id) - truth.score(truth.root.hash)
    kept = float(best.best.node_id == truth.root.hash)
    return {"gain": gain, "kept": kept, "challengers": float(CHALLENGERS)}
