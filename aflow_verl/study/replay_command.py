"""``aflow-verl study replay``: real searches, replayed on their recorded scores."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from aflow_verl.errors import UserError
from aflow_verl.study.replay import GRADINGS, REPLICATIONS, replay


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "workspaces", metavar="WORKSPACE", type=Path, nargs="*", help="AFlow's folder, or one above several"
    )
    parser.add_argument(
        "--recorded", metavar="FILE", type=Path, help="searches in the compact form, .jsonl or .jsonl.gz"
    )
    parser.add_argument("--gradings", metavar="N", type=int, default=GRADINGS, help="a workflow; default %(default)s")
    parser.add_argument(
        "--replications", metavar="N", type=int, default=REPLICATIONS, help="of each search; default %(default)s"
    )
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="default %(default)s")
    parser.add_argument("--out", metavar="DIR", type=Path, help="write replay.md and replay.json there as well")


def run(args: argparse.Namespace) -> int:
    """Print the report; the exit code is 0. Raises ``UserError`` for input that can't be used."""
    if not args.workspaces and args.recorded is None:
        raise UserError("nothing to replay: name a WORKSPACE or --recorded FILE")
    for option in ("gradings", "replications"):
        if getattr(args, option) < 1:
            raise UserError(f"--{option}: has to be at least 1")
    if args.seed < 0:
        raise UserError("--seed: has to be at least 0")
    report = replay(
        args.workspaces,
        args.recorded,
        gradings=args.gradings,
        replications=args.replications,
        seed=args.seed,
        progress=lambda line: print(line, file=sys.stderr, flush=True),
    )
    markdown = report.to_markdown()
    print(markdown, end="")
    if args.out:
        try:
            args.out.mkdir(parents=True, exist_ok=True)
            (args.out / "replay.md").write_text(markdown, encoding="utf-8")
            (args.out / "replay.json").write_text(report.to_json(), encoding="utf-8")
        except OSError as error:
            raise UserError(f"--out: {error}") from None
    return 0
