"""``python -m aflow_verl.sandbox``: which layers of the ``process`` sandbox work on this machine, and its level."""

from __future__ import annotations

import asyncio
import sys
from typing import get_args

from rich.console import Console
from rich.table import Table

from aflow_verl.config import IsolationLevel, SandboxConfig
from aflow_verl.errors import SandboxUnavailable
from aflow_verl.sandbox.process.level import LAYERS, Layers, reaches
from aflow_verl.sandbox.process.probe import probe


def table(layers: Layers) -> Table:
    """A row for each layer: what it gives, and whether it works or why not."""
    rows = Table("layer", "what it gives", "here", title="The process sandbox on this machine")
    for name, gives in LAYERS.items():
        reason = layers.missing.get(name)
        rows.add_row(name, gives, "[green]works[/]" if reason is None else f"[red]{reason}[/]")
    return rows


def main() -> int:
    """Exit code 0 if programs can run with at least the default isolation, ``confined``; else 1."""
    try:
        layers = asyncio.run(probe())
    except SandboxUnavailable as error:
        print(error, file=sys.stderr)
        return 1
    console = Console()
    console.print(table(layers))
    console.print(f"level: [bold]{layers.level or 'none'}[/] (of {' < '.join(get_args(IsolationLevel))})")
    return 0 if reaches(layers.level, SandboxConfig.minimum_level) else 1


if __name__ == "__main__":
    raise SystemExit(main())
