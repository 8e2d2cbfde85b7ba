"""From a search recipe to its outcome: models, store and sandboxes opened, the loop run, the best workflow tested."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aflow_verl.benchmarks.base import Benchmark
from aflow_verl.benchmarks.catalog import create_benchmark
from aflow_verl.config import AflowConfig
from aflow_verl.env.factory import action_format, root_state, task_text
from aflow_verl.env.usage import RunUsage
from aflow_verl.errors import BudgetExhausted
from aflow_verl.evaluation.best_workflow import BestWorkflow, compare_on_heldout, write_result, write_workflow
from aflow_verl.evaluation.bound import BenchmarkEngine
from aflow_verl.jsonl import JsonLines
from aflow_verl.models.client import ModelClient
from aflow_verl.models.replies import spent_in
from aflow_verl.search.run_store import open_run_store
from aflow_verl.search.store import Store
from aflow_verl.standalone.allowance import comparison, fits, next_round
from aflow_verl.standalone.challenges import KEY, Challenges
from aflow_verl.standalone.editor import Editor
from aflow_verl.standalone.history import History, RoundEntry
from aflow_verl.standalone.loop import Loop
from aflow_verl.standalone.opening import REPLIES, Parts, open_parts
from aflow_verl.standalone.outcome import Outcome, Standing, Watch
from aflow_verl.standalone.rounds import Plan, Rounds

CHOICES, BEST = "choices.jsonl", "best_workflow"
"""In the run directory."""


async def search(
    ours: AflowConfig, run_dir: Path, watch: Watch, *, editor: Editor | None = None, client: ModelClient | None = None
) -> Outcome:
    """Run the recipe's search, or go on with what ``run_dir`` holds.

    Args:
        editor, client: the editor and the executor where they are made elsewhere.

    Raises UserError (settings, keys, budget), InfrastructureError and StorageError; finished rounds are kept.
    """
    benchmark = create_benchmark(ours.benchmark[0])
    with open_run_store(ours.store, run_dir) as store:
        for notice in store.notices:
            watch.phase(notice)
        usage = RunUsage(store, ours.budget, await spent_in(run_dir / REPLIES))
        watch.phase("opening models and sandboxes")
        opened = open_parts(ours, run_dir, store, usage, benchmark, watch.phase, editor=editor, client=client)
        async with opened as parts:
            running = _Search(ours, run_dir, watch, store, usage, benchmark, parts)
            return await running.run()


class _Search:
    """What belongs together while a search runs."""

    def __init__(
        self,
        ours: AflowConfig,
        run_dir: Path,
        watch: Watch,
        store: Store,
        usage: RunUsage,
        benchmark: Benchmark,
        parts: Parts,
    ) -> None:
        self._ours = ours
        self._folder = run_dir / BEST
        self._watch = watch
        self._usage = usage
        self._benchmark = benchmark
        self._parts = parts
        self._contest = BenchmarkEngine(parts.engine, benchmark)
        self._actions = action_format(ours, task_text(ours, benchmark), parts.editor.write)
        self._history = History(store, benchmark.name, JsonLines(run_dir / CHOICES))
        self._validation = benchmark.problems("validation")
        self._heldout = benchmark.problems("heldout")
        self._written: dict[str, Any] = {}
        self._best = BestWorkflow(KEY, store, self._contest, self._validation, benchmark.problems("train"))

    async def run(self) -> Outcome:
        ours, best = self._ours, self._best
        tree = self._history.resume(root_state(ours, self._benchmark))
        self._watch.phase("grading the seed workflow")
        done = len(self._history.rounds)
        await best.resume(tree.root_id, tree.root.state, lambda node_id: tree[node_id].state, done)
        trained = self._parts.trained
        step = None if trained is None else trained.trained.step
        plan = Plan(ours.search, ours.standalone, ours.env.max_logs, ours.seed, step)
        rounds = Rounds(
            tree,
            self._history,
            self._contest,
            self._validation,
            self._actions,
            self._parts.editor.ask,
            plan,
            self._parts.critic(self._actions),
        )
        rounds.grading.add(tree.root_id, best.seed.validation)
        challenges = Challenges(best, rounds.tree, self._history.rounds)
        loop = Loop(rounds, self._history, challenges, plan, on_round=self._after_round, may_begin=self._may_begin)
        self._watch.phase("searching")
        reason = await loop.run()
        self._watch.phase("comparing seed and best workflow on the test problems")
        report = await self._compare()
        confidence = ours.evaluation.confidence
        return Outcome(
            reason=reason,
            rounds=len(self._history.rounds),
            seed=best.seed.validation.interval(confidence),
            best=best.best.validation.interval(confidence),
            report=report,
            best_is_seed=best.best.node_id == best.seed.node_id,
            verdict=best.verdict(confidence),
            totals=self._usage.totals(self._counters()),
            editor="" if trained is None else trained.trained.source,
        )

    def _after_round(self, entry: RoundEntry) -> None:
        self._usage.step_metrics(self._counters())
        self._write_best()
        budget = self._usage.budget
        interval = self._best.best.validation.interval(self._ours.evaluation.confidence)
        self._watch.round(Standing(entry, len(self._history.rounds), interval, budget.used_usd, budget.used_calls))

    def _may_begin(self) -> bool:
        seed, best = self._best.seed, self._best.best
        costs = [entry.cost_usd for entry in self._history.rounds]
        return fits(self._usage.budget, comparison(seed, best, len(self._heldout)), next_round(seed, best, costs))

    async def _compare(self) -> dict[str, Any] | None:
        """On the test problems; None where the budget does not reach so far."""
        seed, best, confidence = self._best.seed, self._best.best, self._ours.evaluation.confidence
        try:
            report = await compare_on_heldout(seed, best, self._contest.evaluate, self._heldout, confidence)
        except BudgetExhausted:
            self._write_best()
            return None
        finally:
            self._usage.step_metrics(self._counters())
        write_result(self._folder, seed, best, {"benchmark": self._benchmark.name, **report})
        return report

    def _write_best(self) -> None:
        best = self._best.best
        score = {"node": best.node_id, "validation": best.validation.mean, "n": best.validation.n}
        if score != self._written:
            write_workflow(self._folder, best.state, {"benchmark": self._benchmark.name, **score})
            self._written = score

    def _counters(self) -> dict[str, float]:
        return {**self._parts.engine.counters().as_dict(), "editor_calls": float(self._parts.editor.calls)}
