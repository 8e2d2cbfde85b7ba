"""``python -m aflow_verl.report RUN_DIR``: the step table and the summary of a run, from its files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from aflow_verl.errors import UserError
from aflow_verl.health import Line
from aflow_verl.report import health, metrics, result, steps
from aflow_verl.report.progress import console_on
from aflow_verl.report.summary import print_summary


def main(arguments: Sequence[str] | None = None, stream: TextIO | None = None) -> int:
    """The exit code: 0, or 2 for a directory that is no run."""
    parser = argparse.ArgumentParser(prog="python -m aflow_verl.report", description=__doc__)
    parser.add_argument("run_dir", type=Path, help="run directory, for example runs/quickstart/...")
    run_dir: Path = parser.parse_args(arguments).run_dir
    try:
        print_run(run_dir, sys.stdout if stream is None else stream)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def print_run(run_dir: Path, stream: TextIO) -> None:
    """Raises ``UserError`` for a directory that is no run."""
    path = run_dir / metrics.FILE_NAME
    if not path.is_file():
        raise UserError(f"{run_dir}: no run directory: it has no {metrics.FILE_NAME}; give one that a run wrote")
    lines = metrics.read_metrics(path)
    ended = result.read_result(run_dir)
    console, monitor = console_on(stream), health.monitor_of(run_dir)
    console.print(steps.header(), no_wrap=True)
    now: tuple[Line, ...] = ()
    for line in lines:
        now = monitor.update(line["step"], line)
        console.print(steps.row(line, ended.steps if ended else None, now), no_wrap=True)
    if ended is None:
        console.print(health.health_table(now))
        for remark in health.remarks(now):
            console.print(remark)
        console.print("The run has not ended; the same command with this run_dir resumes it.")
    else:
        print_summary(ended, stream)


if __name__ == "__main__":
    raise SystemExit(main())
