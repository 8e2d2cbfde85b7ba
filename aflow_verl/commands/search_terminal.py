"""A search on the terminal: a line a round, and its end as a result."""

from __future__ import annotations

from collections.abc import Iterator

from aflow_verl.models.catalog import price_for
from aflow_verl.recipe.load import Recipe
from aflow_verl.report.progress import Progress
from aflow_verl.report.result import BenchmarkResult, Estimate, RunResult
from aflow_verl.standalone.outcome import Outcome, Standing
from aflow_verl.standalone.run import BEST
from aflow_verl.statistics import Interval

HEADER = f"{'round':>9}{'score':>8}{'best':>8}  {'95%':<16}{'spent':>10}{'calls':>8}  edit"
EDIT_CHARS = 60
"""Of a modification in its line."""
REASONS = {
    "rounds": "all rounds are done",
    "converged": "converged: the mean of the three best rounds has stood still for five rounds (AFlow's rule)",
    "exhausted": "nothing is left to try",
    "budget": "the budget is used up, but for the comparison at the end",
}
NOT_TESTED = "not compared on the test problems: the budget did not reach so far; raise it and run the same command"


class SearchTerminal:
    """Shows phases while the search opens, then its rounds."""

    def __init__(self, progress: Progress, rounds: int) -> None:
        self._progress = progress
        self._rounds = rounds
        self._shown = 0

    def phase(self, name: str) -> None:
        self._progress.phase(name)

    def round(self, standing: Standing) -> None:
        self._progress.activity("searching")
        if not self._shown:
            self._progress.note(HEADER)
        self._shown += 1
        self._progress.note(row(standing, self._rounds))


def row(standing: Standing, rounds: int) -> str:
    """A round's line."""
    entry, best = standing.entry, standing.best
    score = f"{entry.score:.3f}" if entry.child is not None else "-"
    interval = f"[{best.low:.3f}, {best.high:.3f}]"
    edit = entry.action if entry.child is not None else f"({entry.why}) {entry.action}"
    edit = edit if len(edit) <= EDIT_CHARS else f"{edit[: EDIT_CHARS - 3]}..."
    done = f"{standing.done}/{rounds}"
    spent = f"${standing.usd:.4f}"
    return f"{done:>9}{score:>8}{best.mean:>8.3f}  {interval:<16}{spent:>10}{standing.calls:>8}  {edit}"


def result_of(recipe: Recipe, outcome: Outcome) -> RunResult:
    """What ``result.json`` and the summary say."""
    report, models = outcome.report, recipe.ours.models
    calls = int(outcome.totals["calls"])
    asked = (models.executor, models.editor) if recipe.ours.asks_editor else (models.executor,)
    priced = all(price_for(model) is not None for model in asked)
    heldout = {} if report is None else {"seed": report["seed"]["heldout"], "best": report["best"]["heldout"]}
    benchmark = BenchmarkResult(
        name=recipe.ours.benchmark[0].name,
        seed_validation=_estimate(outcome.seed),
        best_validation=_estimate(outcome.best),
        seed_heldout=Estimate(**heldout["seed"]) if heldout else None,
        best_heldout=Estimate(**heldout["best"]) if heldout else None,
        gain_heldout=None if report is None else Estimate(**report["gain"]),
        best_workflow=str(recipe.run_dir / BEST),
        best_is_seed=outcome.best_is_seed,
    )
    return RunResult(
        recipe=str(recipe.path),
        run_dir=str(recipe.run_dir),
        benchmarks=(benchmark,),
        steps=outcome.rounds,
        executor_calls=calls,
        cache_hit_rate=1.0 - outcome.totals["model_calls"] / calls if calls else None,
        seconds=outcome.totals["wall_seconds"],
        cost_usd=outcome.totals["cost_usd"] if priced else None,
        rl_weight=recipe.ours.search.rl_weight,
        confidence=recipe.ours.evaluation.confidence,
        notes=(f"search without training: {REASONS[outcome.reason]}", *_notes(recipe, outcome)),
    )


def _notes(recipe: Recipe, outcome: Outcome) -> Iterator[str]:
    if outcome.editor:
        weight = recipe.ours.search.rl_weight
        critic = f"its critic weighs {weight:g} in the choices" if weight else "without its critic"
        yield f"edits by the policy of {outcome.editor}, {critic}"
    yield outcome.verdict
    if outcome.report is None:
        yield NOT_TESTED
    elif not outcome.best_is_seed:
        yield str(outcome.report["words"])


def _estimate(interval: Interval) -> Estimate:
    return Estimate(interval.mean, interval.low, interval.high, interval.n)
