"""The search's side of the store: a round counts once all of it is durable, and a resume goes on from there.

A round is a step of the store and one transaction, so a round that was cut short leaves no trace but paid replies and
grades, which are kept apart and cost nothing again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from aflow_verl.errors import UserError
from aflow_verl.jsonl import JsonLines
from aflow_verl.search.experience import ExperienceRecord
from aflow_verl.search.node import ROOT_PRIOR_MEAN
from aflow_verl.search.qvalues import QSnapshot
from aflow_verl.search.records import TreeDelta
from aflow_verl.search.store import Store
from aflow_verl.search.tree import Tree
from aflow_verl.workflow.state import WorkflowState

LEDGER, BENCHMARK, ROOT_PRIOR = "search/rounds", "search/benchmark", "search/root_prior_mean"
VALUES, WAITING = "search/values", "search/waiting"
"""Keys of the store's meta."""


@dataclass(frozen=True, slots=True)
class RoundEntry:
    """A finished round."""

    number: int
    """Which one it was when it began; seeds its random choices. Rounds may finish in another order."""
    node: str
    """The workflow that was edited."""
    action: str
    child: str | None
    """None: the edit made no usable workflow."""
    why: str
    """Then, the reason."""
    score: float
    """Of the child, see ``scores``; 0 without one."""
    error: float
    """Its standard error."""
    draws: int
    cost_usd: float
    """Of the child's evaluation, whenever it was paid."""
    time: str
    """When it ended, as AFlow writes it."""
    weights_step: int | None = None
    """Training step of the policy that made the edit; None for another editor."""
    screened: bool = False
    """Whether the edit was chosen among several proposals by what the critic promised of each."""
    changed_by_q: bool = False
    """Whether another edit would have been made without the critic."""
    v: float | None = None
    """The score that the critic promised of editing this workflow; None without a critic."""
    v_shown: float | None = None
    """X of the workflow then."""
    q: float | None = None
    """The score that the critic promised of this very edit; None without a critic."""
    q_shown: float | None = None
    """X in the prompt that the edit replied to."""


class History:
    """One benchmark's search in a store. ``resume`` comes first."""

    def __init__(self, store: Store, benchmark: str, choices: JsonLines) -> None:
        """``choices``: the run's ``choices.jsonl``."""
        self._store = store
        self._benchmark = benchmark
        self._choices = choices
        self._ledger: list[dict[str, Any]] = []
        self._values: QSnapshot | None = None
        self.rounds: list[RoundEntry] = []

    def resume(self, seed: WorkflowState) -> Tree:
        """The tree after the last finished round; ``seed`` alone where nothing has begun.

        An imported tree keeps its own seed. Raises UserError where the store holds another search.
        """
        begun = self._store.get_meta(BENCHMARK)
        if begun not in (None, self._benchmark):
            raise UserError(f"{self._store.name}: holds a search of {begun}; name another run_dir")
        imported = self._store.get_meta(ROOT_PRIOR) is not None
        if not imported:
            self._store.put_root(self._benchmark, seed)
            self._store.put_meta(BENCHMARK, self._benchmark)
        self.rounds = read_ledger(self._store)
        self._ledger = [asdict(entry) for entry in self.rounds]
        done = len(self.rounds)
        self._store.forget_after(done)
        self._choices.keep(lambda line: line["step"] <= done)
        tree = load_tree(self._store, self._benchmark, done)
        if imported and set(tree.root.state.operators) != set(seed.operators):
            named = ",".join(tree.root.state.operators)
            raise UserError(f"{self._store.name}: the imported workflows may use [{named}]; set env.operators to these")
        return tree

    def next_numbers(self, rounds: int) -> list[int]:
        """Rounds that haven't finished, of 1 to ``rounds``."""
        done = {entry.number for entry in self.rounds}
        return [number for number in range(1, rounds + 1) if number not in done]

    def commit(
        self,
        entry: RoundEntry,
        delta: TreeDelta,
        experience: Sequence[ExperienceRecord],
        choice: dict[str, Any],
        waiting: dict[str, Any],
    ) -> None:
        """Everything that a round did; durable when it returns.

        Args:
            waiting: the proposals that wait after it, and the draws so far.
        """
        step = len(self.rounds) + 1
        key = f"round{entry.number:06d}"
        self._choices.append([{"step": step, **choice}])  # of a round that isn't kept, a resume drops it
        self._ledger.append(asdict(entry))
        with self._store.together():
            self._store.put_delta(self._benchmark, step, key, delta)
            self._store.commit_step(self._benchmark, step, [key])
            self._store.put_experience(self._benchmark, experience)
            self._store.put_meta(LEDGER, self._ledger)
            self._store.put_meta(WAITING, waiting)
        self.rounds.append(entry)

    def waiting(self) -> dict[str, Any]:
        """``waiting`` of the last commit; empty before the first."""
        return dict(self._store.get_meta(WAITING, {}))

    def keep_values(self, q: QSnapshot, prompts: Mapping[str, str]) -> None:
        """The critic's values, and digests of the prompts that they were read on; durable when it returns."""
        if q != self._values:
            self._store.put_meta(VALUES, {"snapshot": q.to_json(), "prompts": dict(prompts)})
            self._values = q

    def values(self) -> tuple[QSnapshot | None, dict[str, str]]:
        """What was kept last."""
        kept = self._store.get_meta(VALUES)
        return (None, {}) if kept is None else (QSnapshot.from_json(kept["snapshot"]), kept.get("prompts", {}))

    async def keep_good_copy(self) -> None:
        """What a damaged store is restored to at worst."""
        await asyncio.to_thread(self._store.keep_good_copy)


def read_ledger(store: Store) -> list[RoundEntry]:
    """The finished rounds, in the order in which they finished."""
    return [RoundEntry(**entry) for entry in store.get_meta(LEDGER, [])]


def load_tree(store: Store, benchmark: str, step: int) -> Tree:
    """The tree after that round, with what an imported workspace says of its seed."""
    prior = store.get_meta(ROOT_PRIOR)
    return store.load_tree(benchmark, step, ROOT_PRIOR_MEAN if prior is None else float(prior))
