"""The table at the end of a run: seed against best, calls, time, cost, and where the best workflow is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

from rich import box
from rich.table import Table
from rich.text import Text

from aflow_verl.report.health import health_table, remarks
from aflow_verl.report.progress import console_on
from aflow_verl.report.result import BenchmarkResult, Estimate, RunResult


def print_summary(result: RunResult, stream: TextIO) -> None:
    console = console_on(stream)
    console.print()
    console.print(score_table(result))
    if result.health:
        console.print(health_table(result.health))
    for line in summary_lines(result):
        console.print(Text(line))


def score_table(result: RunResult) -> Table:
    """Scores with their intervals; one line a benchmark and split."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("benchmark", "problems"):
        table.add_column(title, no_wrap=True)
    table.add_column("n", justify="right", no_wrap=True)
    for title in ("seed workflow", "best workflow", "gain (same problems)"):
        table.add_column(title, no_wrap=True)
    for benchmark in result.benchmarks:
        for cells in _rows(benchmark):
            table.add_row(*map(Text, cells))
    return table


def summary_lines(result: RunResult) -> Iterator[str]:
    yield f"intervals: {result.confidence:.0%}; the best workflow was chosen on the validation problems"
    for benchmark in result.benchmarks:
        found = "no workflow beat the seed; it is at" if benchmark.best_is_seed else "best workflow:"
        yield f"{benchmark.name}: {found} {benchmark.best_workflow}"
    hits = "" if result.cache_hit_rate is None else f" ({result.cache_hit_rate:.0%} from the cache)"
    cost = "price unknown" if result.cost_usd is None else f"${result.cost_usd:.2f}"
    yield f"{result.steps} steps, {result.executor_calls} executor calls{hits}, {duration(result.seconds)}, {cost}"
    yield from remarks(result.health)
    yield from result.notes


def duration(seconds: float) -> str:
    """``8 s``, ``12 min 5 s``, ``3 h 2 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _rows(benchmark: BenchmarkResult) -> Iterator[tuple[str, ...]]:
    seed, best = benchmark.seed_validation, benchmark.best_validation
    yield benchmark.name, "validation", _count(best or seed), _text(seed), _text(best), ""
    seed, best = benchmark.seed_heldout, benchmark.best_heldout
    yield "", "held-out", _count(best or seed), _text(seed), _text(best), _text(benchmark.gain_heldout, sign="+")


def _count(estimate: Estimate | None) -> str:
    return "-" if estimate is None else str(estimate.n)


def _text(estimate: Estimate | None, sign: str = "") -> str:
    """``0.312 [0.201, 0.431]``."""
    if estimate is None:
        return "-"
    return f"{estimate.mean:{sign}.3f} [{estimate.low:{sign}.3f}, {estimate.high:{sign}.3f}]"
