"""``aflow-verl workspace``: to and from the folders that AFlow keeps its searches in."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import yaml

from aflow_verl.checks.run_directory import RESOLVED
from aflow_verl.commands.arguments import Parser, run_command
from aflow_verl.config import StoreConfig
from aflow_verl.errors import UserError
from aflow_verl.operators.catalog import OPERATORS, operator_infos
from aflow_verl.run_lock import RunLock
from aflow_verl.schema import suggestion
from aflow_verl.search.run_store import has_begun, open_run_store
from aflow_verl.standalone.interchange import aflow_operators, put_imported, to_workspace
from aflow_verl.workspace.reading import read_workspace
from aflow_verl.workspace.trees import to_tree
from aflow_verl.workspace.writing import write_workspace

EPILOG = """\
After an import, 'aflow-verl search RECIPE run_dir=RUN_DIR' goes on from the imported rounds. What is broken in a
workspace is named, a line each, and the rest is taken over. An export needs AFlow's own workflows/template/operator.py
beside it."""


def main(arguments: Sequence[str]) -> int:
    """The exit code: 0, or 2 with one line on stderr."""
    return run_command(_command, arguments)


def _command(arguments: Sequence[str]) -> int:
    given = _parser().parse_args(arguments)
    if given.action == "import":
        return _import(given.path, given.run_dir, given.operators, given.store)
    return _export(given.run_dir, given.path, given.store)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="aflow-verl workspace",
        description="Take over a workspace of AFlow's, or write one.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="import|export")
    into = actions.add_parser("import", help="a workspace into a new run directory")
    into.add_argument("path", metavar="PATH", type=Path, help="of the workspace, its dataset, or its workflows")
    into.add_argument("run_dir", metavar="RUN_DIR", type=Path, help="to search in")
    into.add_argument("--operators", metavar="A,B,...", help="what workflows may use; default: AFlow's set")
    out = actions.add_parser("export", help="a search's run directory as a workspace")
    out.add_argument("run_dir", metavar="RUN_DIR", type=Path)
    out.add_argument("path", metavar="PATH", type=Path, help="of the workspace; the dataset's folder must not exist")
    for action in (into, out):
        action.add_argument("--store", metavar="URL", help="the recipe's store.url, where no search has run in RUN_DIR")
    return parser


def _import(path: Path, run_dir: Path, operators: str | None, url: str | None) -> int:
    benchmark = read_workspace(path)[0].dataset
    allowed = aflow_operators(benchmark) if operators is None else tuple(operators.split(","))
    for name in allowed:
        if name not in OPERATORS:
            hint = suggestion(name, OPERATORS) or f"; choose from {', '.join(OPERATORS)}"
            raise UserError(f"--operators: there is no operator {name!r}{hint}")
    workspace, notices = read_workspace(path, allowed)
    for notice in notices:
        print(f"note: {notice}")
    imported = to_tree(workspace)
    run_dir.mkdir(parents=True, exist_ok=True)
    lock = RunLock(run_dir / ".lock").acquire()
    try:
        with open_run_store(_store(run_dir, url), run_dir) as store:
            put_imported(store, imported)
            where = f" store.url={store.name}" if url else ""
    finally:
        lock.release()
    print(f"{benchmark}: {len(workspace.rounds)} rounds, {len(imported.tree())} different workflows, in {run_dir}")
    print(f"to go on: aflow-verl search RECIPE.yaml run_dir={run_dir} env.operators=[{','.join(allowed)}]{where}")
    return 0


def _export(run_dir: Path, path: Path, url: str | None) -> int:
    settings = _store(run_dir, url)
    if not has_begun(settings, run_dir):
        raise UserError(f"{run_dir}: no run directory: it has no store; name one that a search wrote")
    with open_run_store(settings, run_dir) as store:
        workspace = to_workspace(store)
    infos = operator_infos(workspace.rounds[0].state.operators)
    print(f"{len(workspace.rounds)} rounds in {write_workspace(workspace, path, infos)}")
    return 0


def _store(run_dir: Path, url: str | None) -> StoreConfig:
    """What the command line says; else the recipe of the run; where it has none, the default."""
    recipe = run_dir / RESOLVED
    kept = yaml.safe_load(recipe.read_text(encoding="utf-8")) if recipe.is_file() else None
    settings = StoreConfig(**kept["store"]) if kept else StoreConfig()
    return replace(settings, url=url or settings.url)
