"""Recorded searches: every workflow's score on every problem, run by run.

Two sources. An AFlow workspace has a CSV file per validation run in each round's folder, a row per problem (AFlow,
``benchmarks/benchmark.py``); the column ``score`` is needed, and the first other column tells problems apart. The
compact form is a file of JSON lines, gzipped or not, one search a line, the same problems in the same order throughout:
``{dataset, nodes: [{node, parent, runs: [[score per problem], ...]}]}``.
"""

from __future__ import annotations

import csv
import gzip
import json
import math
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aflow_verl.errors import UserError
from aflow_verl.workspace.layout import ROUND, WORKFLOWS, Round
from aflow_verl.workspace.reading import read_workspace

Problem = tuple[str, int]
"""(text of the first column, how many rows of the file had it before)."""
CsvRun = dict[Problem, float]


@dataclass(frozen=True, eq=False)
class RecordedTree:
    """One search: N workflows, at most R runs of each, P problems."""

    name: str
    scores_NRP: NDArray[np.float64]
    """In [0, 1]; NaN from a workflow's last run on."""
    parents: tuple[int | None, ...]
    """Row of each workflow's parent; None: the seed, or a parent without scores."""
    programs: tuple[str, ...] | None = None
    """What each workflow is, equal for identical programs; None: not recorded."""

    @property
    def runs_N(self) -> NDArray[np.int64]:
        return np.count_nonzero(~np.isnan(self.scores_NRP[:, :, 0]), axis=1)

    @property
    def mean_N(self) -> NDArray[np.float64]:
        """What counts as the truth: the mean over all runs and problems."""
        return np.nanmean(self.scores_NRP, axis=(1, 2))


def read_trees(path: Path) -> tuple[list[RecordedTree], list[str]]:
    """The searches of a workspace, one a dataset, and what was left out, a line each.

    ``path``: a folder ``workflows`` or anything above it. Searches with fewer than two graded workflows are left out.

    Raises:
        UserError: there is no CSV file of a round below it.
    """
    if not path.is_dir():
        raise UserError(f"{path}: no such folder")
    pattern = f"{ROUND}*/*.csv"
    below = {file.parent.parent for file in path.rglob(f"{WORKFLOWS}/{pattern}")}
    folders = sorted(below | {file.parent.parent for file in path.glob(pattern)})
    if not folders:
        raise UserError(f"{path}: no AFlow workspace with scores ({WORKFLOWS}/{ROUND}1/*.csv and so on)")
    trees, notices = [], []
    for folder in folders:
        try:
            tree, said = _tree_of(folder)
        except UserError as error:
            notices.append(str(error))
            continue
        notices += [f"{folder}: {line}" for line in said]
        trees += [tree] if tree else []
    return trees, notices


def read_compact(file: Path) -> list[RecordedTree]:
    """The searches of a file in the compact form. Raises ``UserError`` for one that can't be read."""
    try:
        with gzip.open(file, "rt", encoding="utf-8") if file.suffix == ".gz" else file.open(encoding="utf-8") as lines:
            return [_compact_tree(json.loads(line), place) for place, line in enumerate(lines, start=1) if line.strip()]
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{file}: no file of recorded searches ({type(error).__name__}: {error})") from None


def _compact_tree(tree: dict[str, Any], place: int) -> RecordedTree:
    nodes = tree["nodes"]
    rows = {node["node"]: row for row, node in enumerate(nodes)}
    parents = tuple(rows.get(node["parent"]) for node in nodes)
    return RecordedTree(f"{place} {tree['dataset']}", _cube([node["runs"] for node in nodes]), parents)


def _cube(runs: list[list[list[float]]]) -> NDArray[np.float64]:
    sizes = {len(scores) for workflow in runs for scores in workflow}
    if len(runs) < 2 or not all(runs) or len(sizes) != 1 or min(sizes) < 2:
        raise ValueError(
            "a search needs two workflows and two problems, the same ones in each run, a run at least each"
        )
    cube = np.full((len(runs), max(map(len, runs)), sizes.pop()), np.nan)
    for row, workflow in enumerate(runs):
        cube[row, : len(workflow)] = workflow
        if not ((cube[row, : len(workflow)] >= 0) & (cube[row, : len(workflow)] <= 1)).all():
            raise ValueError("scores have to be numbers in [0, 1]")
    return cube


def _tree_of(folder: Path) -> tuple[RecordedTree | None, list[str]]:
    workspace, notices = read_workspace(folder)
    graded: list[tuple[Round, list[CsvRun]]] = []
    for kept in workspace.rounds:
        runs = []
        for file in sorted((folder / f"{ROUND}{kept.number}").glob("*.csv")):
            run = _read_run(file)
            if run:
                runs.append(run)
            else:
                notices.append(f"{file.parent.name}/{file.name}: no column 'score' with numbers in [0, 1]; left out")
        graded.append((kept, runs))
    # A run that broke off, or one on other problems, can't be compared: the commonest set of problems counts.
    sets = Counter(frozenset(run) for _, runs in graded for run in runs)
    if not sets:
        return None, [*notices, "no run with scores"]
    problems = sorted(max(sets.items(), key=lambda item: (item[1], len(item[0])))[0])
    same = [(kept, [run for run in runs if run.keys() == set(problems)]) for kept, runs in graded]
    if left_out := sum(sets.values()) - sum(len(runs) for _, runs in same):
        notices.append(f"{left_out} runs on other problems than most; left out")
    same = [(kept, runs) for kept, runs in same if runs]
    if len(same) < 2 or len(problems) < 2:
        return None, [*notices, "fewer than two workflows with scores on the same problems; left out"]
    rows = {kept.number: row for row, (kept, _) in enumerate(same)}
    tree = RecordedTree(
        workspace.dataset,
        _cube([[[run[problem] for problem in problems] for run in runs] for _, runs in same]),
        tuple(rows.get(kept.made.father) if kept.made else None for kept, _ in same),
        tuple(kept.state.hash for kept, _ in same),
    )
    return tree, notices


def _read_run(file: Path) -> CsvRun | None:
    """None where a score is missing or is none."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            return dict(_scores(text))
    except (OSError, UnicodeDecodeError, csv.Error, ValueError):
        return None


def _scores(text: Any) -> Iterator[tuple[Problem, float]]:
    csv.field_size_limit(sys.maxsize)  # contexts and programs are longer than the 128 KB that csv allows
    reader = csv.DictReader(text)
    names = {name.strip().lower(): name for name in reader.fieldnames or ()}
    if "score" not in names:
        raise ValueError("no score")
    question = next((name for name in reader.fieldnames or () if name != names["score"]), None)
    seen: Counter[str] = Counter()
    for row in reader:
        score = float(row[names["score"]] or "nan")
        if not (math.isfinite(score) and 0 <= score <= 1):
            raise ValueError("no score in [0, 1]")
        asked = (row[question] or "") if question else ""
        yield (asked, seen[asked]), score
        seen[asked] += 1
