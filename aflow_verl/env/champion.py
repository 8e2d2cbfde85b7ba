"""The best workflow so far: chosen on validation problems, graded on held-out problems once, at the end."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aflow_verl.search.node import Node
from aflow_verl.search.statistics import mean_interval, paired_interval
from aflow_verl.search.store import Store
from aflow_verl.search.tree import Tree
from aflow_verl.types import Evaluation, Problem
from aflow_verl.workflow.state import WorkflowState

EvaluateOn = Callable[[WorkflowState, Sequence[Problem]], Awaitable[Evaluation]]


@dataclass(frozen=True)
class Champion:
    """A workflow and its result on the validation problems."""

    node_id: str
    state: WorkflowState
    validation: Evaluation


class Champions:
    """The validated workflows of one benchmark; the best of them is the run's result."""

    def __init__(
        self, benchmark: str, store: Store, evaluate: EvaluateOn, validation: Sequence[Problem], candidates: int
    ) -> None:
        """``candidates``: workflows that challenge the best one after each step."""
        self._key = f"validated/{benchmark}"
        self._store = store
        self._evaluate = evaluate
        self._problems = validation
        self._candidates = candidates
        self._validated: dict[str, Champion] = {}

    @property
    def seed(self) -> Champion:
        """The seed workflow, which is validated first."""
        return next(iter(self._validated.values()))

    async def resume(self, tree: Tree, step: int) -> None:
        """Validate again, out of the grades that are stored, what was validated up to ``step``."""
        self._validated.clear()
        entries = [(k, node_id) for k, node_id in self._store.get_meta(self._key, []) if k <= step]
        self._store.put_meta(self._key, entries)
        for node_id in [tree.root_id, *(node_id for _, node_id in entries if node_id != tree.root_id)]:
            await self._validate(tree[node_id])

    async def challenge(self, tree: Tree, step: int) -> None:
        """Validate the most promising workflows that have not been; the highest posterior means go first."""
        fresh = [node for node in tree if node.id not in self._validated]
        fresh.sort(key=lambda node: -node.posterior_mean)
        for node in fresh[: self._candidates]:
            await self._validate(node)
            self._store.put_meta(self._key, [*self._store.get_meta(self._key, []), [step, node.id]])

    async def _validate(self, node: Node) -> None:
        evaluation = await self._evaluate(node.state, self._problems)
        self._validated[node.id] = Champion(node.id, node.state, evaluation)

    @property
    def best(self) -> Champion:
        """The highest mean on validation; the earliest of equals, so that the seed keeps a draw."""
        return max(self._validated.values(), key=lambda champion: champion.validation.mean)


async def compare_on_heldout(
    seed: Champion, best: Champion, evaluate: EvaluateOn, heldout: Sequence[Problem], confidence: float
) -> dict[str, Any]:
    """Seed and best workflow with their intervals, and the paired gain on held-out problems; JSON-able."""
    seed_heldout = await evaluate(seed.state, heldout)
    best_heldout = await evaluate(best.state, heldout)
    gain = paired_interval(_scores(best_heldout), _scores(seed_heldout), confidence)
    return {
        "seed": {
            "validation": _interval(seed.validation, confidence),
            "heldout": _interval(seed_heldout, confidence),
        },
        "best": {
            "node": best.node_id,
            "history": list(best.state.history),
            "validation": _interval(best.validation, confidence),
            "heldout": _interval(best_heldout, confidence),
        },
        "gain": {"mean": gain.mean, "low": gain.low, "high": gain.high, "n": gain.n},
    }


def write_workflow(folder: Path, state: WorkflowState, score: dict[str, Any]) -> None:
    """``graph.py``, ``prompt.py`` and ``score.json`` in AFlow's layout; each file appears whole."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"graph.py": state.code, "prompt.py": state.prompts, "score.json": json.dumps(score, indent=2) + "\n"}
    for name, text in texts.items():
        temporary = folder / f".{name}"
        temporary.write_text(text)
        os.replace(temporary, folder / name)


def _scores(evaluation: Evaluation) -> dict[str, float]:
    return {grade.problem_id: grade.score for grade in evaluation.grades}


def _interval(evaluation: Evaluation, confidence: float) -> dict[str, float]:
    interval = mean_interval([grade.score for grade in evaluation.grades], confidence)
    return {"mean": interval.mean, "low": interval.low, "high": interval.high, "n": interval.n}
