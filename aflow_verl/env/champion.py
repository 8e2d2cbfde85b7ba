"""The best workflow so far: chosen on validation problems, graded on held-out problems once, at the end."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from aflow_verl.errors import InfrastructureError
from aflow_verl.evaluation.comparison import compare
from aflow_verl.evaluation.race import Race
from aflow_verl.search.node import Node
from aflow_verl.search.store import Store
from aflow_verl.search.tree import Tree
from aflow_verl.types import Evaluation, Problem
from aflow_verl.workflow.graph_source import with_header
from aflow_verl.workflow.state import WorkflowState

EvaluateOn = Callable[[WorkflowState, Sequence[Problem]], Awaitable[Evaluation]]
"""Complete, or raises InfrastructureError."""


class Contest(Protocol):
    """How workflows of one benchmark are graded and compared; ``evaluation.bound.BenchmarkEngine`` is one."""

    async def evaluate(self, workflow: WorkflowState, problems: Sequence[Problem]) -> Evaluation: ...

    async def race(
        self, child: WorkflowState, parent: WorkflowState, problems: Sequence[Problem], *, seed: int
    ) -> Race: ...


@dataclass(frozen=True)
class Champion:
    """A workflow and its result on the validation problems."""

    node_id: str
    state: WorkflowState
    validation: Evaluation


class Champions:
    """The best workflow of one benchmark so far, and who has challenged it.

    A new best is declared in two stages, because the luckiest of many challengers on one set of problems looks better
    than it is: it must lead a race against the best one on the first half of the validation problems, and then be no
    worse in a race on the other half, which only such challengers see.
    """

    def __init__(
        self, benchmark: str, store: Store, contest: Contest, validation: Sequence[Problem], candidates: int
    ) -> None:
        """``candidates``: workflows that challenge the best one after each step."""
        self._key = f"challengers/{benchmark}"
        self._store = store
        self._contest = contest
        self._validation = validation
        half = (len(validation) + 1) // 2
        self._first, self._fresh = validation[:half], validation[half:]
        self._candidates = candidates
        self._challenged: set[str] = set()
        self.seed: Champion
        self.best: Champion

    async def resume(self, tree: Tree, step: int) -> None:
        """Grade the seed, and the best workflow of the challenges up to ``step``, whose outcomes are stored."""
        entries = [entry for entry in self._store.get_meta(self._key, []) if entry[0] <= step]
        self._store.put_meta(self._key, entries)
        self._challenged = {tree.root_id, *(node_id for _, node_id, _ in entries)}
        self.seed = self.best = await self._champion(tree.root_id, tree.root.state)
        if winners := [node_id for _, node_id, won in entries if won]:
            self.best = await self._champion(winners[-1], tree[winners[-1]].state)

    async def refresh(self) -> None:
        """Grade seed and best workflow with the executor as it is now; free unless it is a policy that has learned."""
        self.seed = await self._champion(self.seed.node_id, self.seed.state)
        self.best = await self._champion(self.best.node_id, self.best.state)

    async def challenge(self, tree: Tree, step: int) -> None:
        """Let the most promising workflows that have not challenged yet do so, highest posterior mean first.

        One whose race the infrastructure cuts short may try again after the next step.
        """
        left = sorted((node for node in tree if node.id not in self._challenged), key=lambda n: -n.posterior_mean)
        for node in left[: self._candidates]:
            if (new := await self._challenge(node)) is None:
                continue
            self.best = new
            self._challenged.add(node.id)
            won = new.node_id == node.id
            self._store.put_meta(self._key, [*self._store.get_meta(self._key, []), [step, node.id, won]])

    async def _challenge(self, node: Node) -> Champion | None:
        """Who is the best one now; None where that could not be found out."""
        seed = int(node.state.hash, 16)  # its own order of problems, the same after a resume
        first = await self._contest.race(node.state, self.best.state, self._first, seed=seed)
        if first.verdict == "incomplete":
            return None
        if not first.leads:
            return self.best
        fresh = await self._contest.race(node.state, self.best.state, self._fresh, seed=seed)
        if fresh.verdict == "incomplete":
            return None
        if fresh.gain < 0:
            return self.best
        try:
            return await self._champion(node.id, node.state)
        except InfrastructureError:
            return None  # the races are stored; the next time they cost nothing

    async def _champion(self, node_id: str, state: WorkflowState) -> Champion:
        return Champion(node_id, state, await self._contest.evaluate(state, self._validation))


async def compare_on_heldout(
    seed: Champion, best: Champion, evaluate: EvaluateOn, heldout: Sequence[Problem], confidence: float
) -> dict[str, Any]:
    """Seed and best workflow with their intervals, and the paired gain on held-out problems; JSON-able."""
    seed_heldout = await evaluate(seed.state, heldout)
    best_heldout = await evaluate(best.state, heldout)
    gain = compare(best_heldout, seed_heldout, confidence)
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


def _interval(evaluation: Evaluation, confidence: float) -> dict[str, float]:
    interval = evaluation.interval(confidence)
    return {"mean": interval.mean, "low": interval.low, "high": interval.high, "n": interval.n}
