"""``aflow-verl search``: recipe -> checks -> search without training -> the best workflow, tested."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

from aflow_verl.checks.catalog import SEARCH_CHECKS
from aflow_verl.checks.machine import detect, parse_assume
from aflow_verl.checks.run_directory import RESOLVED
from aflow_verl.checks.telling import check
from aflow_verl.commands.arguments import Parser, parse_budget, run_command, write_whole
from aflow_verl.errors import InfrastructureError, UserError
from aflow_verl.recipe.load import Recipe
from aflow_verl.recipe.search_recipe import load_search_recipe
from aflow_verl.report.progress import Progress
from aflow_verl.report.result import write_result
from aflow_verl.report.summary import print_summary
from aflow_verl.run_lock import RunLock

DESCRIPTION = "Search for a workflow without training: a model edits workflows, and each is executed and graded."
EPILOG = """\
The same command with the same run_dir goes on where it was, also after a kill: what was paid for is not paid again.
The best workflow is written to RUN_DIR/best_workflow in AFlow's layout."""


def main(arguments: Sequence[str]) -> int:
    """The exit code: 0 when the search has ended, 2 with one line for what the user can mend, else 1."""
    return run_command(_command, arguments)


def _command(arguments: Sequence[str]) -> int:
    given = _parser().parse_intermixed_args(arguments)
    overrides: list[str] = list(given.overrides)
    if given.rounds is not None:
        overrides.append(f"standalone.rounds={given.rounds}")
    if given.budget is not None:
        key, value = parse_budget(given.budget)
        overrides.append(f"budget.{key}={value}")
    if given.assume is not None and not given.check:
        raise UserError("--assume plans for a machine that is not here, so it goes with --check only")
    recipe = load_search_recipe(given.recipe, overrides)
    if given.show:
        print(recipe.to_yaml(), end="")
        return 0
    machine = detect() if given.assume is None else parse_assume(given.assume)
    check(recipe, machine, aloud=given.check, checks=SEARCH_CHECKS)
    return 0 if given.check else _search(recipe)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="aflow-verl search",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("recipe", metavar="RECIPE.yaml", help="of kind: search, for example recipes/search_only.yaml")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="changes to it, in Hydra's grammar")
    parser.add_argument("--rounds", metavar="N", help="edits in all (standalone.rounds)")
    parser.add_argument("--budget", metavar="USD|CALLS", help="5usd or 200calls: a hard limit, resumes included")
    parser.add_argument("--check", action="store_true", help="check everything, start nothing")
    parser.add_argument("--print", dest="show", action="store_true", help="show the recipe with all defaults")
    parser.add_argument("--assume", metavar="gpus=0", help="with --check: keys and data are taken as given")
    return parser


def _search(recipe: Recipe) -> int:
    from aflow_verl.commands.search_terminal import SearchTerminal, result_of
    from aflow_verl.standalone.run import search  # what runs comes after what is checked

    run_dir = recipe.run_dir
    run_dir.mkdir(parents=True, exist_ok=True)
    lock = RunLock(run_dir / ".lock").acquire()
    go_on = f"all is kept; the same command with run_dir={run_dir} goes on"
    try:
        write_whole(run_dir / RESOLVED, recipe.to_yaml())
        with Progress(sys.stdout) as progress:
            progress.note(f"run directory: {run_dir}")
            watch = SearchTerminal(progress, recipe.ours.standalone.rounds)
            outcome = asyncio.run(search(recipe.ours, run_dir, watch))
    except UserError as mistake:
        raise UserError(f"{mistake} ({go_on})") from None
    except (InfrastructureError, KeyboardInterrupt) as stop:
        interrupted = isinstance(stop, KeyboardInterrupt)
        print(f"aflow-verl: {'interrupted' if interrupted else stop} ({go_on})", file=sys.stderr)
        return 130 if interrupted else 1
    finally:
        lock.release()
    result = result_of(recipe, outcome)
    write_result(run_dir, result)
    print_summary(result, sys.stdout)
    return 0
