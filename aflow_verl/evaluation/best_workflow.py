"""The best workflow of a run: who may challenge it and what came of it; graded on held-out problems once, at the end.

``confirmation`` decides. Challengers are compared with the best workflow on problems that nothing else chose them by:
the validation problems in a training run, whose rewards come from training problems; the training problems in a search
without training, which scores its workflows on the validation problems.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from aflow_verl.errors import InfrastructureError
from aflow_verl.evaluation.comparison import compare, scores
from aflow_verl.evaluation.confirmation import Challenge, Trial, hopeless, winner
from aflow_verl.types import Evaluation, Problem
from aflow_verl.workflow.graph_source import with_header
from aflow_verl.workflow.state import WorkflowState

STAGE = 16
"""Problems after which a challenger may be given up."""
SEED = "seed"
"""Folder of the seed beside a best workflow that is below it on the held-out problems."""
NONE_BETTER = "no workflow beat the seed"
EvaluateOn = Callable[[WorkflowState, Sequence[Problem]], Awaitable[Evaluation]]
"""Complete, or raises InfrastructureError."""


class Contest(Protocol):
    """How workflows of one benchmark are graded; ``evaluation.bound.BenchmarkEngine`` is one."""

    async def evaluate(self, workflow: WorkflowState, problems: Sequence[Problem]) -> Evaluation:
        """Complete, or raises InfrastructureError; what is known costs nothing."""
        ...


class Meta(Protocol):
    """Keeps JSON-able values; ``search.store.Store`` does."""

    def get_meta(self, key: str, default: Any = None) -> Any: ...

    def put_meta(self, key: str, value: Any) -> None: ...


@dataclass(frozen=True)
class Champion:
    """A workflow and its result on the validation problems."""

    node_id: str
    state: WorkflowState
    validation: Evaluation


@dataclass(frozen=True, slots=True)
class _Win:
    """What is known of a challenger that became the best workflow."""

    gain: float
    """That is expected over the best workflow before it."""
    over_seed: Trial


@dataclass(frozen=True, slots=True)
class _Entry:
    """A challenge that was decided, as it is stored."""

    step: int
    node_id: str
    trial: Trial
    win: _Win | None

    def to_json(self) -> list[Any]:
        win = None if self.win is None else [self.win.gain, *astuple(self.win.over_seed)]
        return [self.step, self.node_id, *astuple(self.trial), win]

    @classmethod
    def from_json(cls, row: Sequence[Any]) -> _Entry:
        step, node_id, n, total, squares, win = row
        return cls(step, node_id, Trial(n, total, squares), None if win is None else _Win(win[0], Trial(*win[1:])))


class BestWorkflow:
    """The best workflow of one benchmark so far. ``resume`` comes first; calls are made one after the other."""

    def __init__(
        self,
        key: str,
        store: Meta,
        contest: Contest,
        validation: Sequence[Problem],
        confirmation: Sequence[Problem] = (),
    ) -> None:
        """
        Args:
            key: of the store's value that holds the challenges.
            validation: what ``seed`` and ``best`` are graded on.
            confirmation: what challengers are tried on; none: the validation problems.
        """
        self._key = key
        self._store = store
        self._contest = contest
        self._validation = validation
        self._problems = tuple(confirmation or validation)
        self._entries: list[_Entry] = []
        self.seed: Champion
        self.best: Champion

    async def resume(
        self, seed_id: str, seed: WorkflowState, state_of: Callable[[str], WorkflowState], step: int
    ) -> None:
        """Grade the seed, and the best workflow of the challenges up to ``step``; later ones are forgotten.

        ``state_of``: a workflow by its node's id. Raises InfrastructureError.
        """
        entries = [_Entry.from_json(row) for row in self._store.get_meta(self._key, [])]
        self._entries = [entry for entry in entries if entry.step <= step]
        if len(self._entries) < len(entries):
            self._keep()
        self.seed = self.best = await self._champion(seed_id, seed)
        if winners := [entry.node_id for entry in self._entries if entry.win is not None]:
            self.best = await self._champion(winners[-1], state_of(winners[-1]))

    async def refresh(self) -> None:
        """Grade seed and best workflow with the executor as it is now; free unless it is a policy that has learned."""
        self.seed = await self._champion(self.seed.node_id, self.seed.state)
        self.best = await self._champion(self.best.node_id, self.best.state)

    async def challenge(self, candidates: Sequence[tuple[str, WorkflowState]], step: int, limit: int) -> bool:
        """Let the first ``limit`` candidates that have not challenged yet do so; whether the best workflow changed.

        They are tried side by side, and the best of them wins, if any does. Those that the infrastructure cuts short
        may try again with a later call, and what was graded costs nothing then.

        Args:
            candidates: node ids and workflows, the most promising first.
            step: of the run; a resume at an earlier one forgets this challenge.
        """
        seen = {self.seed.node_id, *(entry.node_id for entry in self._entries)}
        new = [(node_id, state) for node_id, state in candidates if node_id not in seen][:limit]
        if not new:
            return False
        try:
            best = scores(await self._contest.evaluate(self.best.state, self._problems))
            seed = scores(await self._contest.evaluate(self.seed.state, self._problems))
        except InfrastructureError:
            return False
        tried = await asyncio.gather(*(self._try(state, best, seed) for _, state in new))
        ended = [(*pair, found) for pair, found in zip(new, tried, strict=True) if found is not None]
        won = winner([entry.trial for entry in self._entries], [found for _, _, found in ended])
        if won is not None:
            node_id, state, _ = ended[won[0]]
            try:
                self.best = await self._champion(node_id, state)
            except InfrastructureError:
                return False
        for index, (node_id, _, found) in enumerate(ended):
            win = _Win(won[1].mean, found.over_seed) if won is not None and won[0] == index else None
            self._entries.append(_Entry(step, node_id, found.over_best, win))
        self._keep()
        return won is not None

    def verdict(self, confidence: float = 0.95) -> str:
        """One line: whether a workflow beat the seed, by how much, and on what that rests.

        The gain is the one that is expected, luck taken off, summed over the workflows that replaced one another. The
        interval is the plain one of the best workflow's lead, made for the luckiest of so many challengers.
        """
        tried = f"{len(self._entries)} challengers, {len(self._problems)} problems"
        wins = [entry.win for entry in self._entries if entry.win is not None]
        if not wins:
            return f"{NONE_BETTER} ({tried})"
        low, high = wins[-1].over_seed.interval(confidence, len(self._entries))
        gain = _points(min(max(sum(win.gain for win in wins), low), high), low, high)
        if low <= 0:
            return f"{NONE_BETTER} beyond doubt; the best workflow: {gain} over the seed ({tried})"
        return f"best workflow: {gain} over the seed ({tried})"

    async def _try(
        self, state: WorkflowState, best: Mapping[str, float], seed: Mapping[str, float]
    ) -> Challenge | None:
        """On all problems, in an order of the workflow's own, or until it is hopeless; None where one can't be had."""
        order = np.random.default_rng(int(state.hash, 16)).permutation(len(self._problems))
        problems = [self._problems[index] for index in order]
        own: dict[str, float] = {}
        while left := problems[len(own) :]:
            over_best = [score - best[problem] for problem, score in own.items()]
            if own and hopeless(over_best, [1.0 - best[problem.id] for problem in left]):
                break
            try:
                own |= scores(await self._contest.evaluate(state, left[:STAGE]))
            except InfrastructureError:
                return None
        return Challenge(
            Trial.of([score - best[problem] for problem, score in own.items()]),
            Trial.of([score - seed[problem] for problem, score in own.items()]),
            whole=len(own) == len(problems),
        )

    async def _champion(self, node_id: str, state: WorkflowState) -> Champion:
        return Champion(node_id, state, await self._contest.evaluate(state, self._validation))

    def _keep(self) -> None:
        self._store.put_meta(self._key, [entry.to_json() for entry in self._entries])


async def compare_on_heldout(
    seed: Champion, best: Champion, evaluate: EvaluateOn, heldout: Sequence[Problem], confidence: float
) -> dict[str, Any]:
    """Seed and best workflow with their intervals, and the paired gain on held-out problems; JSON-able.

    ``hand_back`` is ``seed`` where the best workflow is below the seed, or is the seed, and ``best`` otherwise;
    ``words`` say what the comparison means.
    """
    seed_heldout = await evaluate(seed.state, heldout)
    best_heldout = await evaluate(best.state, heldout)
    gain = compare(best_heldout, seed_heldout, confidence)
    same = seed.node_id == best.node_id
    text = f"{_points(gain.mean, gain.low, gain.high)} on {gain.n} held-out problems"
    if same:
        words = NONE_BETTER
    elif gain.mean < 0:
        words = f"{NONE_BETTER}: the best workflow is below it, {text}; the seed lies beside it, in {SEED}/"
    elif gain.low <= 0:
        words = f"{NONE_BETTER} beyond doubt; the best workflow: {text}"
    else:
        words = f"best workflow: {text}"
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
        "hand_back": "seed" if same or gain.mean < 0 else "best",
        "words": words,
    }


def write_result(folder: Path, seed: Champion, best: Champion, result: Mapping[str, Any]) -> None:
    """The best workflow with ``compare_on_heldout``'s result; where it is below the seed, the seed beside it."""
    write_workflow(folder, best.state, dict(result))
    if result["hand_back"] == "seed" and seed.node_id != best.node_id:
        write_workflow(folder / SEED, seed.state, {"node": seed.node_id, **result["seed"]})


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


def _points(mean: float, low: float, high: float) -> str:
    """``+1.2 points [-0.3, +2.7]``."""
    return f"{100 * mean:+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}]"
