"""A training step as one line of fixed columns: on the terminal while a run trains, and later from its files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aflow_verl import health
from aflow_verl.report.health import cell
from aflow_verl.report.metrics import Line, number


@dataclass(frozen=True)
class Column:
    """One column of the step table."""

    title: str
    width: int
    digits: int
    """Digits after the point."""
    value: Callable[[Line], float | None]


def metric(name: str) -> Callable[[Line], float | None]:
    return lambda line: number(line, name)


def total(*names: str) -> Callable[[Line], float | None]:
    """Sum of the metrics that are there; None if none is."""

    def value(line: Line) -> float | None:
        found = [v for v in (number(line, name) for name in names) if v is not None]
        return sum(found) if found else None

    return value


COLUMNS = (
    Column("gen s", 6, 1, metric("timing_s/gen")),
    Column("eval s", 6, 1, metric("eval/seconds")),
    Column("update s", 8, 1, total("timing_s/update_actor", "timing_s/update_critic")),
    Column("total s", 7, 1, metric("timing_s/step")),
    Column("reward", 7, 3, metric("env/step_reward")),
    Column("best", 5, 3, metric("search/best_score")),
    Column("tree", 5, 0, metric("search/tree_size")),
    Column("new", 4, 0, metric("search/new_workflows")),
    Column("alpha", 5, 2, metric("search/alpha_effective")),
    Column("grad", 8, 3, metric("actor/grad_norm")),
)

GAP = "  "
STEP_WIDTH = 9


def header() -> str:
    return GAP.join(["step".rjust(STEP_WIDTH), *(c.title.rjust(c.width) for c in COLUMNS), "health"])


def row(line: Line, total_steps: int | None = None, lines: Sequence[health.Line] = ()) -> str:
    """The step's line with its lines of health; ``-`` where a metric is missing or null."""
    step = f"{line['step']}/{total_steps}" if total_steps else str(line["step"])
    return GAP.join([step.rjust(STEP_WIDTH), *(_cell(c, c.value(line)).rjust(c.width) for c in COLUMNS), cell(lines)])


def _cell(column: Column, value: float | None) -> str:
    if value is None:
        return "-"
    text = f"{value:.{column.digits}f}"
    return text if len(text) <= column.width else f"{value:.1e}"
