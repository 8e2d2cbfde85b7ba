"""``study training``: its parts, run over seeds, and their report as Markdown and JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any

from aflow_verl.statistics import Interval
from aflow_verl.study.tables import table
from aflow_verl.study.training import Shape, simulate
from aflow_verl.study.training_critics import AFTER, CRITICS, honesty
from aflow_verl.study.training_measures import (
    PARTS,
    Numbers,
    calibration,
    drift,
    merged,
    signal,
    spread,
    summary,
)
from aflow_verl.study.useless import challenge_with_useless
from aflow_verl.study.world import World

INVALID_SHARES = (0.0, 0.3, 0.6)
FEW, MANY = 16, 48
"""Problems of a row: few, and the recipes' default."""


@dataclass(frozen=True)
class Run:
    """What is simulated of one seed, and what is measured of it."""

    world: World
    shape: Shape
    critics: bool = False


@dataclass(frozen=True)
class Plan:
    """What a study of training consists of; every part runs with every seed."""

    world: World
    shape: Shape
    seeds: tuple[int, ...]
    problems: tuple[int, ...] = (FEW, MANY)
    invalid: tuple[float, ...] = INVALID_SHARES

    @property
    def runs(self) -> dict[str, Run]:
        """Name -> part: each number of problems, then each other share of invalid replies at the first of them."""
        runs = {
            str(count): Run(self.world, replace(self.shape, problems=count), critics=count == self.problems[0])
            for count in self.problems
        }
        few = replace(self.shape, problems=self.problems[0])
        for share in self.invalid:
            if share != self.world.invalid:
                runs[f"invalid {share:g}"] = Run(replace(self.world, invalid=share), few)
        return runs


@dataclass(frozen=True)
class Results:
    """Intervals over seeds, by part."""

    plan: Plan
    parts: Mapping[str, Mapping[str, Interval]]
    useless: Mapping[str, Interval]


def run_plan(plan: Plan, processes: int) -> Results:
    """All parts and seeds."""
    jobs = [(name, seed) for name in plan.runs for seed in plan.seeds]
    worlds = [plan.runs[name] for name, _ in jobs]
    if processes == 1:
        measured = [measure(run, seed) for run, (_, seed) in zip(worlds, jobs, strict=True)]
        useless = [challenge_with_useless(plan.world, seed) for seed in plan.seeds]
    else:
        with ProcessPoolExecutor(processes) as pool:
            measured = list(pool.map(measure, worlds, [seed for _, seed in jobs]))
            useless = list(pool.map(challenge_with_useless, [plan.world] * len(plan.seeds), plan.seeds))
    by_part: dict[str, list[Numbers]] = {}
    for (name, _), numbers in zip(jobs, measured, strict=True):
        by_part.setdefault(name, []).append(numbers)
    return Results(plan, {name: summary(found) for name, found in by_part.items()}, summary(useless))


def measure(run: Run, seed: int) -> Numbers:
    """All numbers of one simulation."""
    found = simulate(run.world, run.shape, seed)
    parts = {
        "signal": signal(found),
        "spread": spread(found),
        "calibration": calibration(found),
        "drift": drift(found),
    }
    return merged({**parts, "honesty": honesty(found, seed)} if run.critics else parts)


def to_json(results: Results) -> dict[str, Any]:
    """Plan and intervals; NaN and infinite bounds as null."""

    def plain(intervals: Mapping[str, Interval]) -> dict[str, list[float | None]]:
        return {
            name: [value if math.isfinite(value) else None for value in (found.mean, found.low, found.high)]
            for name, found in intervals.items()
        }

    return {
        "plan": asdict(results.plan),
        "parts": {name: plain(found) for name, found in results.parts.items()},
        "useless": plain(results.useless),
    }


def report(results: Results) -> str:
    """Every table, with what its numbers mean."""
    sections: Sequence[tuple[str, Callable[[Results], str]]] = (
        ("Advantages and true gains", _signal),
        ("Mean advantage by kind of edit", _kinds),
        ("Spread of the rows", _spread),
        ("Calibration of X", _calibration),
        ("Honesty of the confidence", _honesty),
        ("The best workflow", _best),
    )
    shape = results.plan.shape
    head = (
        f"Seeds: {len(results.plan.seeds)}; {shape.steps} steps of {shape.rows} rows, {shape.sessions} sessions, "
        f"{shape.edits} edits. Means over seeds and 95 % intervals."
    )
    return "\n\n".join([head, *(f"## {title}\n\n{text(results)}" for title, text in sections)]) + "\n"


def _signal(results: Results) -> str:
    rows = [
        [
            _part(results, part),
            *(_text(found[f"signal/{name}/correlation"], 2) for name in PARTS),
            *(_text(found[f"signal/{name}/ratio"], 2) for name in PARTS),
        ]
        for part, found in results.parts.items()
    ]
    head = ["", *(f"correlation of {name}" for name in PARTS), *(f"ratio of {name}" for name in PARTS)]
    return f"Correlation with the true gain of an edit, and (good - bad) / sd, over valid rows.\n\n{table(head, rows)}"


def _kinds(results: Results) -> str:
    kinds = list(results.plan.world.odds)
    rows = [
        [_part(results, part), *(_text(found[f"signal/mean/{kind}"], 4) for kind in kinds)]
        for part, found in results.parts.items()
    ]
    return table(["", *kinds], rows)


def _spread(results: Results) -> str:
    rows = [
        [
            _part(results, part),
            _text(found["spread/share"], 2),
            _text(found["spread/largest"], 2),
            _text(found["spread/children"], 1),
            _text(found["spread/limit"], 1),
        ]
        for part, found in results.parts.items()
    ]
    head = ["", "largest share of one workflow", "in the worst step", "children a workflow", "widening allows"]
    return f"Edits of a step's rows on the shared tree.\n\n{table(head, rows)}"


def _calibration(results: Results) -> str:
    names = ("bias", "correlation", "coverage", "kappa", "workflows")
    digits = (3, 2, 3, 0, 0)
    rows = [
        [_part(results, part), *(_text(found[f"calibration/{n}"], d) for n, d in zip(names, digits, strict=True))]
        for part, found in results.parts.items()
    ]
    return table(["", "X - truth", "correlation", "coverage of X +- 1.96 sd", "kappa", "workflows"], rows)


def _honesty(results: Results) -> str:
    found = next(iter(results.parts.values()))
    rows = [
        [
            name,
            *(_text(found[f"honesty/{name}/{n}"], 3) for n in AFTER),
            *(_text(found[f"honesty/{name}/{n}/alarms"], 3) for n in AFTER),
        ]
        for name in CRITICS
    ]
    head = ["critic", *(f"after {n} edits" for n in AFTER), *(f"above 0 after {n}" for n in AFTER)]
    return table(head, rows)


def _best(results: Results) -> str:
    rows = [
        [
            _part(results, part),
            _text(found["drift/possible"], 3),
            *(
                _text(found[f"drift/{name}/{what}"], 2)
                for name in ("believed", "confirmed")
                for what in ("above", "way")
            ),
        ]
        for part, found in results.parts.items()
    ]
    head = ["", "best in the tree - seed", "believed: above the seed", "way", "confirmed: above the seed", "way"]
    return (
        "Above the seed: share of the seeds. Way: share of the distance from the seed to the truly best workflow.\n\n"
        f"{table(head, rows)}\n\n{_useless(results.useless)}"
    )


def _useless(found: Mapping[str, Interval]) -> str:
    if not found:
        return "No kind of edit is useless in this world."
    return (
        f"After {found['challengers'].mean:.0f} challengers of kinds that bring nothing, the confirmed workflow is "
        f"{_text(found['gain'], 4)} from the seed in truth; in {found['kept'].mean:.0%} of the seeds it is the seed."
    )


def _part(results: Results, part: str) -> str:
    return f"{part} problems" if part.isdigit() else f"{part}, {results.plan.problems[0]} problems"


def _text(found: Interval, digits: int) -> str:
    """``0.35 [0.33, 0.37]``; the mean alone where one seed gives no interval, ``-`` for nothing."""
    if math.isnan(found.mean):
        return "-"
    if not math.isfinite(found.low):
        return f"{found.mean:.{digits}f}"
    return f"{found.mean:.{digits}f} [{found.low:.{digits}f}, {found.high:.{digits}f}]"
