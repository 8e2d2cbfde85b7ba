"""``aflow-verl study``: what the search is worth, measured on landscapes whose truth is known."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from types import MappingProxyType

from aflow_verl.commands.arguments import Parser, run_command
from aflow_verl.errors import UserError

PARTS = MappingProxyType(
    {
        "replay": ("aflow_verl.study.replay_command", "how gradings are spent on recorded searches"),
        "training": ("aflow_verl.study.training_command", "whether a training step carries a signal"),
    }
)
"""Subcommand -> (module with ``add_arguments(parser)`` and ``run(arguments) -> exit code``, what it does)."""
QUICK_SEEDS, QUICK_EVALUATIONS = 4, 60
EPILOG = """\
aflow-verl study replay --help     {replay}
aflow-verl study training --help   {training}

--families takes names of built-in families, or a .py or .yaml file with others (docs/study.md). Examples:

  aflow-verl study --quick
  aflow-verl study --families deceptive dead_ends --arms default race --seeds 2000:2040""".format(
    **{name: what for name, (_, what) in PARTS.items()}
)


def main(arguments: Sequence[str]) -> int:
    """The exit code: 0, or 2 with one line for what the user can mend."""
    return run_command(_command, arguments)


def _command(arguments: Sequence[str]) -> int:
    if arguments and arguments[0] in PARTS:
        module = import_module(PARTS[arguments[0]][0])
        parser = Parser(prog=f"aflow-verl study {arguments[0]}", description=PARTS[arguments[0]][1])
        module.add_arguments(parser)
        run: Callable[[argparse.Namespace], int] = module.run
        return run(parser.parse_args(arguments[1:]))
    return _study(_parser().parse_args(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="aflow-verl study",
        description="Search landscapes whose truth is known, and compare the arms with AFlow's rule at equal cost.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="a few arms, seeds and evaluations: three minutes")
    parser.add_argument("--families", nargs="+", default=[], metavar="NAME|FILE", help="default: all built-in ones")
    parser.add_argument("--arms", nargs="+", default=[], metavar="NAME", help="default: all; AFlow's rule always runs")
    parser.add_argument(
        "--seeds",
        metavar="A:B",
        help="landscapes A to B - 1; default: 2000:2040",
    )
    parser.add_argument("--evaluations", type=int, metavar="N", help="budget in full evaluations; default 100")
    parser.add_argument("--proposal-cost", type=float, default=0.0, metavar="C", help="in full evaluations; default 0")
    parser.add_argument("--processes", type=int, default=min(2, os.cpu_count() or 1), metavar="N", help="default 2")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="report, plots, record, learned weights; default: print only"
    )
    parser.add_argument("--no-plots", action="store_true", help="do not draw (needs no matplotlib)")
    return parser


def _study(given: argparse.Namespace) -> int:
    # numpy, scipy and the search take a while to import; --help needs none of them
    from aflow_verl.study import arms
    from aflow_verl.study.families import REPORTING_SEEDS, TUNING_SEEDS
    from aflow_verl.study.learned import Training
    from aflow_verl.study.plots import plot
    from aflow_verl.study.record import write_record
    from aflow_verl.study.results import results_of
    from aflow_verl.study.runner import Plan, run_study
    from aflow_verl.study.tables import report

    usual = TUNING_SEEDS[:QUICK_SEEDS] if given.quick else REPORTING_SEEDS
    plan = Plan(
        families=tuple(given.families),
        arms=arms.chosen(given.arms, quick=given.quick),
        seeds=tuple(parse_seeds(given.seeds) if given.seeds else usual),
        evaluations=given.evaluations or (QUICK_EVALUATIONS if given.quick else 100),
        proposal_cost=given.proposal_cost,
        training=Training(landscapes=8, rows=4) if given.quick else Training(),
    )
    if plan.evaluations < 2 or plan.proposal_cost < 0 or given.processes < 1:
        raise UserError("--evaluations must be 2 or more, --proposal-cost 0 or more, --processes 1 or more")
    plan.catalog()  # wrong names are told before anything runs
    outcomes = run_study(plan, processes=given.processes, cache=None if given.out is None else given.out / "learned")
    results = results_of(outcomes, plan.evaluations)
    text = report(results, {arm.name: arm.about for arm in plan.arms})
    if given.out is None:
        sys.stdout.write(text)
        return 0
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "report.md").write_text(text, encoding="utf-8")
    write_record(given.out / "study.json", plan, outcomes)
    if not given.no_plots:
        plot(results, [arm.name for arm in plan.arms], given.out)
    print(f"report: {given.out / 'report.md'}")
    return 0


def parse_seeds(text: str) -> range:
    """``A:B`` as a range. Raises ``UserError``."""
    first, colon, last = text.partition(":")
    if not colon or not first.isdigit() or not last.isdigit() or int(first) >= int(last):
        raise UserError(f"--seeds: {text!r} is no A:B with A below B")
    return range(int(first), int(last))
