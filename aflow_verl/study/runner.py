"""Runs every arm on every landscape, in several processes, and shows how far it is."""

from __future__ import annotations

import inspect
import json
import multiprocessing
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeVar

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from aflow_verl.report.progress import console_on
from aflow_verl.study.arms import Arm
from aflow_verl.study.critics import Constant, Critic, Oracle, ShownScore
from aflow_verl.study.families import Catalog, chosen
from aflow_verl.study.landscapes import Landscape
from aflow_verl.study.learned import Learned, LearnedCritic, LearnedPolicy, Training, from_json, to_json
from aflow_verl.study.policies import Odds, Policy
from aflow_verl.study.search_run import Trace, run_search

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Plan:
    """Everything that a study's numbers follow from, beside the code."""

    families: tuple[str, ...]
    """What ``--families`` named: worker processes read the files themselves."""
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    """Of the landscapes."""
    evaluations: int = 100
    """Budget of each search, in full evaluations."""
    proposal_cost: float = 0.0
    """Of a proposal, in full evaluations."""
    search_seed: int = 0
    """Of the choices that a search makes; the same in all arms."""
    training: Training = field(default_factory=Training)
    """Of learned policies and critics, one of each for every family."""

    def catalog(self) -> Catalog:
        return chosen(self.families)


@dataclass(frozen=True)
class Outcome:
    """One search."""

    family: str
    seed: int
    arm: str
    start: float
    """True score of the seed."""
    optimum: float
    """Highest true score in reach."""
    trace: Trace


def critic_of(arm: Arm, landscape: Landscape, seed: int, learned: Learned | None = None) -> Critic | None:
    """The arm's critic on this landscape; ``learned``: what was trained for its family, where the arm wants that."""
    spec = arm.critic
    if spec is None:
        return None
    match spec.kind:
        case "oracle":
            return Oracle(landscape, spec.correlation, spec.errors, seed)
        case "shown":
            return ShownScore()
        case "constant":
            return Constant()
        case "learned":
            assert learned is not None
            return LearnedCritic(learned)


def policy_of(arm: Arm, landscape: Landscape, learned: Learned | None = None) -> Policy:
    """The arm's policy on this landscape; ``learned`` as above."""
    if arm.policy.learned:
        assert learned is not None
        return LearnedPolicy(learned)
    return Odds(landscape, arm.policy.odds)


def run_landscape(
    plan: Plan, catalog: Catalog, family: str, seed: int, learned: Learned | None = None
) -> list[Outcome]:
    """All arms on one landscape; ``learned``: what was trained for its family, where an arm wants that."""
    landscape = Landscape(catalog.families[family], seed, catalog.shapes)
    return [
        Outcome(
            family,
            seed,
            arm.name,
            landscape.score(0),
            landscape.optimum,
            run_search(
                landscape,
                arm,
                policy_of(arm, landscape, learned),
                critic_of(arm, landscape, plan.search_seed, learned),
                evaluations=plan.evaluations,
                seed=plan.search_seed,
                proposal_cost=plan.proposal_cost,
            ),
        )
        for arm in plan.arms
    ]


def run_study(plan: Plan, *, processes: int, cache: Path | None = None) -> list[Outcome]:
    """Outcomes of all searches, in the order of families, seeds and arms.

    Args:
        processes: 1 starts none.
        cache: folder in which what was trained is kept, and looked for.
    """
    catalog = plan.catalog()
    learned: dict[str, Learned] = {}
    if any(arm.learns for arm in plan.arms):
        names = list(catalog.families)
        trained = _each(_train, [(plan, name, cache) for name in names], processes, "training")
        learned = dict(zip(names, trained, strict=True))
    tasks = [(plan, name, seed, learned.get(name)) for name in catalog.families for seed in plan.seeds]
    found = _each(_run, tasks, processes, "searching")
    return [outcome for outcomes in found for outcome in outcomes]


_CATALOG: dict[tuple[str, ...], Catalog] = {}


def _catalog(families: tuple[str, ...]) -> Catalog:
    """Read once in each process: shapes of a file can't be sent."""
    if families not in _CATALOG:
        _CATALOG[families] = chosen(families)
    return _CATALOG[families]


def _run(task: tuple[Plan, str, int, Learned | None]) -> list[Outcome]:
    plan, family, seed, learned = task
    return run_landscape(plan, _catalog(plan.families), family, seed, learned)


def _train(task: tuple[Plan, str, Path | None]) -> Learned:
    """What training leaves, or has left under the same circumstances."""
    plan, name, cache = task
    catalog = _catalog(plan.families)
    family = catalog.families[name]
    shape = catalog.shapes[family.shape]
    circumstances = json.dumps([asdict(plan.training), asdict(family), inspect.getsource(shape)])
    file = None if cache is None else cache / f"{name}.json"
    if file is not None and file.is_file():
        kept = json.loads(file.read_text(encoding="utf-8"))
        if kept["circumstances"] == circumstances:
            return from_json(kept["learned"])
    from aflow_verl.study.learning import train  # torch takes long to import

    learned = train(family, plan.training, catalog.shapes)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"circumstances": circumstances, "learned": to_json(learned)}), encoding="utf-8")
    return learned


def _each(work: Callable[[T], R], tasks: Sequence[T], processes: int, what: str) -> list[R]:
    """Results in the order of the tasks, with a bar on the terminal."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console_on(sys.stderr), transient=True) as progress:
        bar = progress.add_task(what, total=len(tasks))
        if processes == 1:
            return [_done(work(task), progress, bar) for task in tasks]
        # Fresh processes: a fork of one that has threads (torch, rich) may hang.
        with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
            return [_done(result, progress, bar) for result in pool.map(work, tasks)]


def _done(result: R, progress: Progress, bar: TaskID) -> R:
    progress.advance(bar)
    return result
