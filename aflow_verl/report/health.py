"""Health as a person sees it: a cell of the step table while a run trains, and a table at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml
from rich import box
from rich.table import Table
from rich.text import Text

from aflow_verl.config import HealthConfig
from aflow_verl.errors import UserError
from aflow_verl.health import HealthMonitor, Line, State, expectations
from aflow_verl.report import metrics

RESOLVED = "recipe.resolved.yaml"
CELL_WIDTH = 28
IN_CELL: tuple[tuple[State, str], ...] = (("dead", "DEAD"), ("unknown", "unknown"), ("no say", "no say"))
"""States that a cell names, the worst first."""
STYLES: dict[State, str] = {"dead": "bold red", "unknown": "red", "no say": "yellow", "alive": "green"}


def monitor_for(get: Callable[[str], Any]) -> HealthMonitor:
    """A monitor for the recipe whose dotted keys ``get`` reads (None: no such key)."""
    usual = HealthConfig()
    patience, on_dead = get("health.patience") or usual.patience, get("health.on_dead") or usual.on_dead
    return HealthMonitor(HealthConfig(patience, on_dead), *expectations(get))


def monitor_of(run_dir: Path) -> HealthMonitor:
    """A monitor for the run's own recipe, before any step."""
    return monitor_for(_stored(run_dir))


def replayed(monitor: HealthMonitor, lines: Iterable[metrics.Line]) -> tuple[Line, ...]:
    """Show the monitor lines of ``metrics.jsonl``. Returns the health after the last of them; () for no line."""
    last: tuple[Line, ...] = ()
    for line in lines:
        last = monitor.update(line["step"], line)
    return last


def _stored(run_dir: Path) -> Callable[[str], Any]:
    """Reads the keys of the run's own recipe. Raises ``UserError`` for one that can't be read."""
    path = run_dir / RESOLVED
    try:
        recipe = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path} can't be read ({type(error).__name__}); it is what the run was started with") from None

    def get(key: str) -> Any:
        node = recipe
        for part in key.split("."):
            node = node.get(part) if isinstance(node, dict) else None
        return node

    return get


def cell(lines: Sequence[Line]) -> str:
    """``ok``, or the names of the lines that are not: ``DEAD policy, advantage``; ``-`` where nothing was asked."""
    parts = []
    for state, word in IN_CELL:
        names = [line.name for line in lines if line.state == state]
        if names:
            parts.append(f"{word} {', '.join(names)}")
    if not parts:
        return "ok" if any(line.state == "alive" for line in lines) else "-"
    text = "; ".join(parts)
    return text if len(text) <= CELL_WIDTH else f"{text[: CELL_WIDTH - 3]}..."


def health_table(lines: Sequence[Line]) -> Table:
    """One row a question: its state at the end, since when, and the share of steps in which it was alive."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("health", "question", "at the end", "alive"):
        table.add_column(title, no_wrap=True)
    for line in lines:
        since = f" since step {line.since}" if line.state in ("dead", "unknown", "no say") else ""
        alive = f"{line.alive_steps} of {line.judged_steps} steps" if line.judged_steps else "-"
        state = Text(f"{line.state}{since}", style=STYLES.get(line.state, ""))
        table.add_row(Text(line.name), Text(line.question), state, Text(alive))
    return table


def remarks(lines: Sequence[Line]) -> list[str]:
    """A sentence for each line that is not alive: what it means, and what to do."""
    return [f"{line.name}: {line.remark} ({line.reading})" for line in lines if line.remark]
