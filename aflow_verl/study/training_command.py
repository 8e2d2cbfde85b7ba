"""``aflow-verl study training``: whether a training step carries a signal, measured in a world whose truth is known."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from aflow_verl.errors import UserError

QUICK_SEEDS, SEEDS = 3, 10
QUICK_STEPS = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quick", action="store_true", help="three seeds, shorter runs: within a minute on one core")
    parser.add_argument("--world", type=Path, metavar="FILE.yaml", help="another world (docs/study_training.md)")
    parser.add_argument("--seeds", type=int, metavar="N", help=f"simulations of each part; default {SEEDS}")
    parser.add_argument("--first-seed", type=int, default=0, metavar="K", help="seeds K to K + N - 1; default 0")
    parser.add_argument("--steps", type=int, metavar="N", help="training steps; default 8")
    parser.add_argument("--rows", type=int, default=8, metavar="N", help="rows of a step; default 8")
    parser.add_argument("--sessions", type=int, default=8, metavar="N", help="sessions of a row; default 8")
    parser.add_argument("--edits", type=int, default=4, metavar="N", help="edits of an episode; default 4")
    parser.add_argument("--problems", type=int, nargs="+", metavar="N", help="problems of a row; default 16 and 48")
    parser.add_argument("--omega", type=float, default=1.0, metavar="W", help="weight of A^S; default 1")
    parser.add_argument("--processes", type=int, default=min(2, os.cpu_count() or 1), metavar="N", help="default 2")
    parser.add_argument("--out", type=Path, metavar="DIR", help="training.md and .json; default: print the report")


def run(given: argparse.Namespace) -> int:
    # torch and the search take a while to import; --help needs none of them
    from aflow_verl.config import GigpoConfig
    from aflow_verl.study.training import Shape
    from aflow_verl.study.training_report import FEW, MANY, Plan, report, run_plan, to_json
    from aflow_verl.study.world import World, read_world

    world = read_world(given.world) if given.world else World()
    seeds = given.seeds if given.seeds is not None else (QUICK_SEEDS if given.quick else SEEDS)
    steps = given.steps if given.steps is not None else (QUICK_STEPS if given.quick else 8)
    problems = tuple(given.problems or (FEW, MANY))
    for name, value, least in (
        ("--seeds", seeds, 1),
        ("--first-seed", given.first_seed, 0),
        ("--steps", steps, 2),
        ("--rows", given.rows, 1),
        ("--sessions", given.sessions, 2),
        ("--edits", given.edits, 1),
        ("--problems", min(problems), 1),
        ("--omega", given.omega, 0),
        ("--processes", given.processes, 1),
    ):
        if value < least:
            raise UserError(f"{name}: {value} is below {least}")
    if max(problems) > world.train:
        raise UserError(f"--problems: the world has {world.train} training problems")
    shape = Shape(
        steps=steps,
        rows=given.rows,
        sessions=given.sessions,
        edits=given.edits,
        gigpo=GigpoConfig(omega=given.omega),
    )
    plan = Plan(world, shape, tuple(range(given.first_seed, given.first_seed + seeds)), problems)
    results = run_plan(plan, given.processes)
    text = report(results)
    if given.out is None:
        sys.stdout.write(text)
        return 0
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "training.md").write_text(text, encoding="utf-8")
    (given.out / "training.json").write_text(json.dumps(to_json(results), indent=1) + "\n", encoding="utf-8")
    print(f"report: {given.out / 'training.md'}")
    return 0
