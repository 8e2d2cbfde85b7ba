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
from aflow_verl.workflow.graph_source import with_header
from aflow_verl.workflow.state import WorkflowState

EvaluateOn = Callable[[WorkflowState, Sequence[Problem]], Awaitable[Evaluation]]


@dataclass(frozen=True)
class Champion:
    """A workflow and its result on the validation problems."""

    node_id: str
    state: WorkflowState
    first: Evaluation
    """On the problems on which workflows challenge the best one."""
    fresh: Evaluation
    """On the problems that are left for confirming a challenger."""

    @property
    def validation(self) -> Evaluation:
        return Evaluation((*self.first.grades, *self.fresh.grades))


class Champions:
    """The best workflow of one benchmark so far, and who has challenged it.

    A new best is declared in two stages, because the luckiest of many challengers on one set of problems looks better
    than it is: it must beat the best one on the first half of the validation problems, and then be no worse than it on
    the other half, which only such challengers see.
    """

    def __init__(
        self, benchmark: str, store: Store, evaluate: EvaluateOn, validation: Sequence[Problem], candidates: int
    ) -> None:
        """``candidates``: workflows that challenge the best one after each step."""
        self._key = f"challengers/{benchmark}"
        self._store = store
        self._evaluate = evaluate
        half = (len(validation) + 1) // 2
        self._first, self._fresh = validation[:half], validation[half:]
        self._candidates = candidates
        self._challenged: set[str] = set()
        self.seed: Champion
        self.best: Champion

    async def resume(self, tree: Tree, step: int) -> None:
        """Grade the seed and repeat, out of the grades that are stored, the challenges up to ``step``."""
        entries = [(k, node_id) for k, node_id in self._store.get_meta(self._key, []) if k <= step]
        self._store.put_meta(self._key, entries)
        root = tree.root.state
        first, fresh = await self._evaluate(root, self._first), await self._evaluate(root, self._fresh)
        self.seed = self.best = Champion(tree.root_id, root, first, fresh)
        self._challenged = {tree.root_id}
        for _, node_id in entries:
            await self._challenge(tree[node_id])

    async def challenge(self, tree: Tree, step: int) -> None:
        """Let the most promising workflows that have not challenged yet do so, highest posterior mean first."""
        left = sorted((node for node in tree if node.id not in self._challenged), key=lambda n: -n.posterior_mean)
        for node in left[: self._candidates]:
            await self._challenge(node)
            self._store.put_meta(self._key, [*self._store.get_meta(self._key, []), [step, node.id]])

    async def _challenge(self, node: Node) -> None:
        self._challenged.add(node.id)
        first = await self._evaluate(node.state, self._first)
        if first.mean <= self.best.first.mean:
            return
        fresh = await self._evaluate(node.state, self._fresh)
        if fresh.mean >= self.best.fresh.mean:
            self.best = Champion(node.id, node.state, first, fresh)


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
    """``graph.py``, ``prompt.py`` and ``score.json`` in AFlow's layout; each file appears whole.

    The graph has the import header of a round that is named like ``folder``, in ``workspace/<dataset>/workflows``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    graph = with_header(state.code, state.dataset, folder.name)
    texts = {"graph.py": graph, "prompt.py": state.prompts, "score.json": json.dumps(score, indent=2) + "\n"}
    for name, text in texts.items():
        temporary = folder / f".{name}"
        temporary.write_text(text)
        os.replace(temporary, folder / name)


def _scores(evaluation: Evaluation) -> dict[str, float]:
    return {grade.problem_id: grade.score for grade in evaluation.grades}


def _interval(evaluation: Evaluation, confidence: float) -> dict[str, float]:
    interval = mean_interval([grade.score for grade in evaluation.grades], confidence)
    return {"mean": interval.mean, "low": interval.low, "high": interval.high, "n": interval.n}
