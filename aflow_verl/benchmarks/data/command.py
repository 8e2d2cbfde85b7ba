"""The command ``aflow-verl data``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn

from rich.console import Console
from rich.table import Table

from aflow_verl.benchmarks.catalog import BENCHMARKS, SCORERS
from aflow_verl.benchmarks.data.prepare import Prepared, aflow_sizes, prepare
from aflow_verl.benchmarks.sources import default_folder
from aflow_verl.errors import UserError

EPILOG = """\
benchmarks: gsm8k, math, humaneval, mbpp, hotpotqa, drop (reasoning_gym needs no data)

Without --source, or with --source hub, the official files are fetched. --source PATH reads files that you have: JSON
lines, JSON, parquet, or a folder of them, in the official formats or AFlow's. The folder holds validation.jsonl and
test.jsonl, 1 to 4, drawn with seed 42 in AFlow's sizes, and manifest.json with checksums."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see '{self.prog} --help'")


def main(arguments: Sequence[str], console: Console | None = None) -> int:
    """The exit code: 0, or 2 with one line on stderr."""
    try:
        given = _parser().parse_args(arguments)
        _prepare(given, console or Console())
    except UserError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="aflow-verl data", description="Prepare the data of a benchmark.")
    actions = parser.add_subparsers(dest="action", required=True, metavar="prepare")
    one = actions.add_parser(
        "prepare",
        help="make the validation and test split of a benchmark",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    one.add_argument("name", metavar="NAME", help="of the benchmark")
    one.add_argument(
        "--source", default="hub", metavar="PATH|hub", help="a file or folder that you have (default: hub)"
    )
    one.add_argument("--out", type=Path, metavar="DIR", help="default: ~/.cache/aflow_verl/data/NAME")
    one.add_argument("--force", action="store_true", help="prepare again what is there")
    return parser


def _prepare(given: argparse.Namespace, console: Console) -> None:
    name: str = given.name
    if name in BENCHMARKS:
        raise UserError(f"{name} needs no data: its problems are made when a run starts")
    if name not in SCORERS:
        close = get_close_matches(name.lower(), SCORERS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"choose from {', '.join(SCORERS)}"
        raise UserError(f"no benchmark {name!r}; {hint}")
    source = None if given.source == "hub" else Path(given.source).expanduser()
    folder = (given.out or default_folder(name)).expanduser()
    with console.status(f"preparing {name}") as status:

        def say(what: str) -> None:
            status.update(what)
            console.print(what, highlight=False, soft_wrap=True)

        prepared = prepare(name, SCORERS[name](), source, folder, force=given.force, say=say)
    _show(name, prepared, console)


def _show(name: str, prepared: Prepared, console: Console) -> None:
    console.print(f"{name}: {prepared.manifest['source']}", highlight=False, soft_wrap=True)
    table = Table("split", "problems", "in AFlow")
    sizes, wanted = prepared.sizes(), aflow_sizes(name)
    for split, size in sizes.items():
        table.add_row(split, str(size), str(wanted[split]))
    console.print(table)
    if any(size < wanted[split] for split, size in sizes.items()):
        console.print(
            f"note: fewer problems than AFlow has; split 1 to 4: {sum(sizes.values())} in all", soft_wrap=True
        )
    done = "prepared" if prepared.fresh else "already prepared, checksums verified"
    console.print(f"{done}: {prepared.folder}", highlight=False, soft_wrap=True)
