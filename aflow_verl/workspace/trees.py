"""A workspace as a search tree with its experience, and back.

AFlow keeps a mean score for each validation run and no score of a single problem. Such a mean says how good a workflow
is, but it can't be paired with anything: so it becomes the node's *prior mean*, what the search believes until it has
graded the node on problems of its own. The runs themselves are kept beside the tree, for the way back.

A workflow that two rounds share is one node: the second round is an edge to it, and its runs join the first one's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aflow_verl.search.experience import ExperienceRecord
from aflow_verl.search.node import ROOT_PRIOR_MEAN, Node
from aflow_verl.search.records import EdgeRecord, NodeRecord, Record, TreeDelta, VisitRecord
from aflow_verl.search.tree import Tree
from aflow_verl.search.view import TreeView
from aflow_verl.workflow.graph_source import UNPARSABLE, strip_header, used_operators
from aflow_verl.workflow.state import WorkflowState
from aflow_verl.workspace.layout import SEED_ROUND, Made, Round, Run, Workspace

ORIGIN = "aflow/round_"


@dataclass(frozen=True)
class Imported:
    """What a workspace becomes."""

    benchmark: str
    root: WorkflowState
    root_prior_mean: float
    delta: TreeDelta
    """Everything but the root, in the order of the rounds."""
    experience: tuple[ExperienceRecord, ...]
    runs: Mapping[str, tuple[Run, ...]]
    """AFlow's validation runs by node id."""
    logs: Mapping[str, tuple[Mapping[str, Any], ...]]

    def tree(self) -> Tree:
        """The tree on its own."""
        return Tree.seed(self.root, prior_mean=self.root_prior_mean, origin=f"{ORIGIN}{SEED_ROUND}").merged(
            [self.delta], 0
        )


def to_tree(workspace: Workspace) -> Imported:
    """The rounds as nodes, edges and experience. The first round is the root."""
    seed, *others = workspace.rounds
    node_of = {r.number: r.state.hash for r in workspace.rounds}
    runs: dict[str, tuple[Run, ...]] = {}
    logs: dict[str, tuple[Mapping[str, Any], ...]] = {}
    for r in workspace.rounds:
        runs[node_of[r.number]] = (*runs.get(node_of[r.number], ()), *r.runs)
        logs[node_of[r.number]] = (*logs.get(node_of[r.number], ()), *r.logs)
    means = {node_id: _mean(found) for node_id, found in runs.items()}
    records: list[Record] = []
    known = {seed.state.hash}
    for r in others:
        assert r.made is not None
        records += _records(r, node_of[r.made.father], known, means)
        known.add(r.state.hash)
    return Imported(
        benchmark=workspace.dataset,
        root=seed.state,
        root_prior_mean=ROOT_PRIOR_MEAN if (mean := means[seed.state.hash]) is None else mean,
        delta=TreeDelta(tuple(records)),
        experience=tuple(_experience(r, node_of, means) for r in others),
        runs={node_id: found for node_id, found in runs.items() if found},
        logs={node_id: found for node_id, found in logs.items() if found},
    )


def _records(made_round: Round, father_id: str, known: set[str], means: Mapping[str, float | None]) -> Iterator[Record]:
    assert made_round.made is not None
    node_id, modification = made_round.state.hash, made_round.made.modification
    if node_id in known:
        yield EdgeRecord(father_id, node_id, modification)
    else:
        mean = means[node_id]
        yield NodeRecord(
            node_id=node_id,
            parent_id=father_id,
            state=made_round.state,
            action=modification,
            grades={},
            prior_mean=(made_round.made.before if mean is None else mean),
            origin=f"{ORIGIN}{made_round.number}",
        )
    yield VisitRecord(father_id)


def _experience(made_round: Round, node_of: Mapping[int, str], means: Mapping[str, float | None]) -> ExperienceRecord:
    made = made_round.made
    assert made is not None
    return ExperienceRecord(
        parent=node_of[made.father],
        child=node_of[made_round.number],
        modification=made.modification,
        before=made.before,
        after=means[node_of[made_round.number]] if made.after is None else made.after,
        problems=0,
        interval=None,
        operators=_operators_in(made_round.state),
        cost_usd=math.fsum(run.total_cost for run in made_round.runs),
        origin=f"{ORIGIN}{made_round.number}",
    )


def from_tree(
    tree: TreeView,
    experience: Sequence[ExperienceRecord] = (),
    runs: Mapping[str, tuple[Run, ...]] | None = None,
    logs: Mapping[str, tuple[Mapping[str, Any], ...]] | None = None,
    run_of: Callable[[Node], Run | None] | None = None,
) -> Workspace:
    """Nodes in the order in which they came become rounds 1, 2, ...; each further time that a workflow was made becomes
    a round of its own without runs, so that its modification is not lost.

    Args:
        experience: says how edges came about; what it lacks is told by the tree.
        runs: AFlow's own runs of nodes that were imported, see ``Imported``.
        run_of: the run of a node that was graded here; the default makes it of the node's grades, at no cost.
    """
    runs, logs = runs or {}, logs or {}
    number_of = {node.id: number for number, node in enumerate(tree, start=SEED_ROUND)}
    ways = _ways(tree, experience)
    rounds = []
    for node in tree:
        way = ways[node.parent_id, node.id].pop(0) if node.parent_id is not None else None
        ran = _runs_of(node, runs, run_of or _graded_run)
        rounds.append(Round(number_of[node.id], _bare(node), _made(way, number_of), ran, tuple(logs.get(node.id, ()))))
    for way in (way for left in ways.values() for way in left):
        rounds.append(Round(len(rounds) + SEED_ROUND, _bare(tree[way.child]), _made(way, number_of)))
    return Workspace(tree.root.state.dataset, tuple(rounds))


@dataclass(frozen=True, slots=True)
class Way:
    """One time that a workflow was made from another."""

    parent: str
    child: str
    modification: str
    before: float
    after: float | None


def _ways(tree: TreeView, experience: Sequence[ExperienceRecord]) -> dict[tuple[str, str], list[Way]]:
    """By (parent, child): what the experience tells, in its order; what it lacks, by the tree's edges."""
    ways: dict[tuple[str, str], list[Way]] = {}
    for record in experience:
        if record.child is not None and record.parent in tree and record.child in tree:
            way = Way(record.parent, record.child, record.modification, record.before, record.after)
            ways.setdefault((record.parent, record.child), []).append(way)
    for parent in tree:
        for child in (tree[child_id] for child_id in tree.children(parent.id)):
            if (parent.id, child.id) not in ways:
                ways[parent.id, child.id] = [Way(parent.id, child.id, child.action, parent.mean, child.mean)]
    return ways


def _made(way: Way | None, number_of: Mapping[str, int]) -> Made | None:
    return None if way is None else Made(number_of[way.parent], way.modification, way.before, way.after)


def _bare(node: Node) -> WorkflowState:
    return replace(node.state, score=None, history=())


def _runs_of(node: Node, runs: Mapping[str, tuple[Run, ...]], run_of: Callable[[Node], Run | None]) -> tuple[Run, ...]:
    """AFlow's own runs first; what was graded here is one run more."""
    ours = run_of(node)
    return (*runs.get(node.id, ()), *([ours] if ours is not None else []))


def _graded_run(node: Node) -> Run | None:
    return Run(node.mean) if node.grades else None


def _mean(runs: Sequence[Run]) -> float | None:
    return math.fsum(run.score for run in runs) / len(runs) if runs else None


def _operators_in(state: WorkflowState) -> tuple[str, ...]:
    try:
        return tuple(used_operators(strip_header(state.code)))
    except UNPARSABLE:  # pragma: no cover - a workspace with such a round is not made
        return ()
