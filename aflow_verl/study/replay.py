"""Real searches, replayed on their recorded scores: how to spend gradings, what is chosen, whether intervals hold."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from aflow_verl.errors import UserError
from aflow_verl.study.recorded import RecordedTree, read_compact, read_trees
from aflow_verl.study.replay_intervals import Coverage, coverage
from aflow_verl.study.replay_rules import RULES, Desk, Rule
from aflow_verl.study.replay_twins import Twins, twins

GRADINGS = 16
"""A workflow, in the mean."""
REPLICATIONS = 200
"""Orders of problems and runs that each rule is tried on, and splits into halves."""


@dataclass(frozen=True, slots=True)
class Spent:
    """How one rule did in one search, in the mean over replications."""

    regret: float
    """Score of the best workflow minus that of the one chosen, over all problems and runs."""
    gradings: float
    """A workflow."""


@dataclass(frozen=True, slots=True)
class TreeReport:
    """One search."""

    name: str
    workflows: int
    problems: int
    runs: int
    best: float
    rules: Mapping[str, Spent]
    """By name of the rule."""
    intervals: tuple[Coverage, ...]
    twins: Twins | None


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """All searches, and what is needed to repeat it."""

    trees: tuple[TreeReport, ...]
    gradings: int
    replications: int
    seed: int
    confidence: float
    notices: tuple[str, ...] = field(default=())
    """What was left out of the input."""

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2)

    def to_markdown(self) -> str:
        return "\n".join(_markdown(self)) + "\n"


def replay(
    paths: Sequence[Path],
    recorded: Path | None = None,
    *,
    gradings: int = GRADINGS,
    replications: int = REPLICATIONS,
    seed: int = 0,
    confidence: float = 0.95,
    rules: Mapping[str, Rule] = RULES,
    progress: Callable[[str], None] = lambda line: None,
) -> ReplayReport:
    """Replay the searches of AFlow workspaces and of a file in the compact form (``recorded``).

    A search's random numbers depend on the seed and on its place among the searches alone.

    Raises:
        UserError: no search, or an input that can't be read.
    """
    trees, notices = _read(paths, recorded)
    if not trees:
        raise UserError("; ".join(["no search to replay", *notices[:3]]))
    reports = []
    for place, tree in enumerate(trees):
        progress(f"{place + 1}/{len(trees)} {tree.name}: {len(tree.parents)} workflows")
        spent = {name: _spend(tree, name, rule, gradings, replications, [seed, place]) for name, rule in rules.items()}
        rng = np.random.default_rng([seed, place])
        n, runs, p = tree.scores_NRP.shape
        best = float(tree.mean_N.max())
        held = tuple(coverage(tree, replications, rng, confidence))
        reports.append(TreeReport(tree.name, n, p, runs, best, spent, held, twins(tree)))
    return ReplayReport(tuple(reports), gradings, replications, seed, confidence, tuple(notices))


def _read(paths: Sequence[Path], recorded: Path | None) -> tuple[list[RecordedTree], list[str]]:
    trees, notices = [], []
    for path in paths:
        found, said = read_trees(path)
        trees += found
        notices += said
    return trees + (read_compact(recorded) if recorded else []), notices


def _spend(tree: RecordedTree, name: str, rule: Rule, gradings: int, replications: int, seed: Sequence[int]) -> Spent:
    mean_N = tree.mean_N
    regrets, spent = [], []
    for replication in range(replications):
        # All rules meet the same orders of problems and runs.
        desk = Desk(tree, np.random.default_rng([*seed, replication]))
        rng = np.random.default_rng([*seed, replication, zlib.crc32(name.encode())])
        chosen = rule(desk, tree, gradings * len(tree.parents), rng)
        regrets.append(mean_N.max() - mean_N[chosen])
        spent.append(desk.spent / len(tree.parents))
    return Spent(float(np.mean(regrets)), float(np.mean(spent)))


def _markdown(report: ReplayReport) -> Iterator[str]:
    trees = report.trees
    yield "# Replay of recorded searches"
    yield ""
    yield (
        f"{len(trees)} searches, {sum(tree.workflows for tree in trees)} workflows, {report.replications} replications "
        f"each, seed {report.seed}. A budget of {report.gradings} gradings a workflow in the mean."
    )
    yield from ("", "## Regret of the final choice", "")
    yield "Score of the best workflow minus that of the one chosen; means and standard errors over searches."
    yield from ("", "| rule | regret | standard error | minus uniform | gradings a workflow |", "|---|---|---|---|---|")
    rules = list(trees[0].rules)
    for name in rules:
        regrets = [tree.rules[name].regret for tree in trees]
        against = [tree.rules[name].regret - tree.rules[rules[0]].regret for tree in trees]
        gradings = np.mean([tree.rules[name].gradings for tree in trees])
        yield (
            f"| {name} | {np.mean(regrets):.4f} | {_standard_error(regrets)} | "
            f"{np.mean(against):+.4f} ({_standard_error(against)}) | {gradings:.1f} |"
        )
    yield from ("", "| search | workflows | problems | runs | best | " + " | ".join(rules) + " |")
    yield "|---" * (5 + len(rules)) + "|"
    for tree in trees:
        cells = " | ".join(f"{tree.rules[name].regret:.4f}" for name in rules)
        yield f"| {tree.name} | {tree.workflows} | {tree.problems} | {tree.runs} | {tree.best:.3f} | {cells} |"
    yield from ("", "## Intervals", "")
    yield f"At {report.confidence:.0%}, made on one half of the problems, held against what the other half shows."
    yield from ("", "| interval of | covered | searches' mean | lowest | highest | mean width | cases |")
    yield "|---" * 7 + "|"
    for kind in ("mean", "gain"):
        held = [found for tree in trees for found in tree.intervals if found.kind == kind]
        if held:
            yield _interval_row(kind, held)
    yield from _twins(trees)
    if report.notices:
        yield from ("", "## Left out", "")
        yield from (f"- {notice}" for notice in report.notices)


def _interval_row(kind: str, held: Sequence[Coverage]) -> str:
    cases = sum(found.cases for found in held)
    covered = sum(found.covered for found in held) / cases
    shares = [found.share for found in held]
    width = np.mean([found.width for found in held])
    return (
        f"| {kind} | {covered:.1%} | {np.mean(shares):.1%} | {min(shares):.1%} | {max(shares):.1%} | "
        f"{width:.3f} | {cases} |"
    )


def _twins(trees: Sequence[TreeReport]) -> Iterator[str]:
    yield from ("", "## Twins", "")
    known = [(tree, tree.twins) for tree in trees if tree.twins is not None]
    if not known:
        yield "Programs are not recorded here: twins can be told in workspaces only."
        return
    yield "Identical programs of one search. Their scores differ by luck alone."
    yield ""
    yield "| search | workflows | copies | pairs | mean gap | largest gap | best minus its twins |"
    yield "|---" * 7 + "|"
    for tree, found in known:
        best = "no twin" if found.best_gap is None else f"{found.best_gap:+.4f}"
        yield (
            f"| {tree.name} | {tree.workflows} | {found.copies} | {found.pairs} | {found.mean_gap:.4f} | "
            f"{found.largest_gap:.4f} | {best} |"
        )


def _standard_error(values: Sequence[float]) -> str:
    return f"{np.std(values, ddof=1) / math.sqrt(len(values)):.4f}" if len(values) > 1 else "-"
