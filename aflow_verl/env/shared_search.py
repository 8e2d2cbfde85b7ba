"""The search that all episodes of a run share: trees, critic values, experience. Synchronous; knows no Ray, no model.

Episodes stand on a workflow of their step's tree and hand in what they added; ``merge`` makes the next tree of it, in
the order of the episodes' keys, so that the order in which they finished leaves no trace.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import nlargest
from typing import Any

from aflow_verl.config import AflowConfig
from aflow_verl.env.actions import ActionFormat
from aflow_verl.env.dataset import DatasetRow, make_row
from aflow_verl.env.episode import Episode, EpisodeStart
from aflow_verl.env.outcomes import experience_of, origin_of, row_targets
from aflow_verl.env.predictions import Predictions
from aflow_verl.env.problems import Seen, draw_problems, seen
from aflow_verl.env.prompts import experience_lines, failure_lines, learned_from
from aflow_verl.env.replay import Replay
from aflow_verl.env.row_plan import plan_rows
from aflow_verl.env.scoring import score_groups
from aflow_verl.env.seeds import generator
from aflow_verl.env.starts import random_start
from aflow_verl.env.tokens import PolicyTokens
from aflow_verl.evaluation.comparison import scores
from aflow_verl.jsonl import JsonLines
from aflow_verl.search.experience import ExperiencePool, ExperienceRecord
from aflow_verl.search.lessons import Lesson
from aflow_verl.search.node import ROOT_PRIOR_MEAN
from aflow_verl.search.qvalues import QSnapshot, ScoreGroup
from aflow_verl.search.replay import ReplayRow
from aflow_verl.search.returns import futures, node_promises
from aflow_verl.search.store import Store
from aflow_verl.search.targets import RowKey, RowTarget
from aflow_verl.search.tree import Tree
from aflow_verl.types import Evaluation, Problem
from aflow_verl.workflow.state import WorkflowState

CONTENDERS = 4
"""Workflows believed best that the rows of a step take turns to grade."""
CENTRE = "critic/centre"
"""Store's key: benchmark -> the score that the critic's zero stands for."""


@dataclass(frozen=True)
class StepShape:
    """How large a training step is, and the discount of its returns."""

    rows: int
    sessions: int
    """Episodes of a row."""
    gamma: float


@dataclass(frozen=True)
class RowStart:
    """What a row edits, before anything of it is graded."""

    row: DatasetRow
    step: int
    node_id: str
    weights: Mapping[str, float]
    """Problem id -> weight, of the problems that its rewards are made from."""
    choice: dict[str, Any] | None
    """Of a row on the shared tree: the numbers that decided."""


class SharedSearch:
    """Trees by benchmark, and what goes with them. ``resume`` comes first."""

    def __init__(
        self,
        store: Store,
        choices: JsonLines,
        roots: Mapping[str, WorkflowState],
        formats: Mapping[str, ActionFormat],
        problems: Mapping[str, Sequence[Problem]],
        ours: AflowConfig,
        shape: StepShape,
    ) -> None:
        """``choices``: the run's ``choices.jsonl``. ``problems``: those that rewards are made from, by benchmark."""
        self._store = store
        self._choices = choices
        self._formats = formats
        self._problems = problems
        self._ours = ours
        self._shape = shape
        self.replay = Replay(store, ours.experience, ours.seed)
        self.predictions = Predictions(store)
        self.trees: dict[str, Tree] = {}
        self._centres: dict[str, float] = {}
        self._experience: dict[str, ExperiencePool] = {}
        self._lessons: dict[str, tuple[Lesson, ...]] = {}
        self.q: QSnapshot | None = None
        self._plan: dict[int, RowStart] = {}
        self._graded: dict[int, tuple[RowStart, Mapping[str, Evaluation]]] = {}
        self._pending: dict[tuple[str, int], Episode] = {}
        self.plan_choices: list[dict[str, Any]] = []
        """Lines of ``choices.jsonl`` for the rows of the step that was merged last, which stand on the shared tree."""
        self._origins: dict[RowKey, str] = {}
        self._tried: list[ExperienceRecord] = []
        for benchmark, state in roots.items():
            store.put_root(benchmark, state)
        self._benchmarks = tuple(roots)

    def resume(self, step: int) -> None:
        """Go back to the state after ``step`` (0: the seeds alone). Later grades stay as evaluation cache."""
        self._store.forget_after(step)
        self._choices.keep(lambda line: line["step"] <= step)
        self.trees = {name: self._store.load_tree(name, step) for name in self._benchmarks}
        self._experience = {name: self._store.load_experience(name, step) for name in self._benchmarks}
        self._centres = dict(self._store.get_meta(CENTRE, {})) if step else {}
        self.q = self._store.get_q(step)
        self.replay.resume(step)
        self.predictions.resume(step)
        self._begin()

    def _begin(self) -> None:
        """The trees have changed: nothing that was planned on the old ones holds."""
        self._lessons = {name: learned_from(tree) for name, tree in self.trees.items()}
        self._plan.clear()
        self._graded.clear()
        self._pending.clear()

    # ---- a row begins ---------------------------------------------------------------------------------------------

    def row_start(self, row: DatasetRow, step: int) -> RowStart:
        """What the row edits, and on which problems; all rows of a step are planned at the first question."""
        if row.index not in self._plan:
            first = row.index - row.index % self._shape.rows
            self._plan_step(step, [self._row(index) for index in range(first, first + self._shape.rows)])
        return self._plan[row.index]

    def _row(self, index: int) -> DatasetRow:
        return make_row(self._ours.seed, self._benchmarks, self._ours.env.start, index)

    def _plan_step(self, step: int, rows: Sequence[DatasetRow]) -> None:
        for benchmark in self._benchmarks:
            tree = self.trees[benchmark]
            known = seen([problem.id for problem in self._problems[benchmark]], tree)
            own = [row for row in rows if row.benchmark == benchmark]
            planned = plan_rows(
                tree,
                self.q,
                [row for row in own if row.start == "snapshot"],
                self._shape.sessions,
                self._ours.search,
                lambda node_id, name=benchmark: self._can_expand(name, node_id),  # type: ignore[misc]
                seed=self._ours.seed,
                step=step,
            )
            for row in own:
                choice = planned[row.index].choice if row.index in planned else None
                node_id = tree.root_id if choice is None else choice.node_id
                if row.start == "random":
                    rng = generator(self._ours.seed, "root", step, row.index)
                    node_id = random_start(tree, self._experience[benchmark], self._ours.experience.sampling, rng)
                weights = self._draw(known, row, node_id)
                self._plan[row.index] = RowStart(
                    row, step, node_id, weights, None if choice is None else choice.to_json()
                )

    def _can_expand(self, benchmark: str, node_id: str) -> bool:
        tree = self.trees[benchmark]
        return self._formats[benchmark].can_expand(tree[node_id].state, tree.tried(node_id))

    def _draw(self, known: Seen, row: DatasetRow, node_id: str) -> dict[str, float]:
        tree, rng = self.trees[row.benchmark], generator(row.problem_seed, "problems")
        return draw_problems(known, self._ours.env.problems, tree[node_id], tree.x(node_id), rng)

    def to_grade(self, start: RowStart) -> list[WorkflowState]:
        """What is graded once a row, on its problems: the row's workflow first."""
        tree = self.trees[start.row.benchmark]
        return [tree[node_id].state for node_id in self._to_grade(start)]

    def _to_grade(self, start: RowStart) -> list[str]:
        """The row's workflow; its parent, so that its own gain becomes known better; and, so that luck is found out,
        one of those believed best, beside the seed that all are compared with in the end."""
        tree = self.trees[start.row.benchmark]
        x = tree.estimates().x
        best = nlargest(CONTENDERS, x, key=x.__getitem__)
        wanted = [start.node_id, tree[start.node_id].parent_id, best[start.row.index % len(best)], tree.root_id]
        return list(dict.fromkeys(node_id for node_id in wanted if node_id is not None))

    def begin(self, start: RowStart, task: str, graded: Sequence[Evaluation]) -> EpisodeStart:
        """What the sessions of the row are given; references are taken out of the problems.

        Args:
            graded: ``to_grade`` on the row's problems.
        """
        benchmark, tree = start.row.benchmark, self.trees[start.row.benchmark]
        own = graded[0]
        self._graded[start.row.index] = (start, dict(zip(self._to_grade(start), graded, strict=True)))
        problems = [problem for problem in self._problems[benchmark] if problem.id in start.weights]
        alone = tree.alone(start.node_id, tried=start.row.start == "snapshot").overlay()
        alone.add_grades(start.node_id, scores(own), weights=start.weights, failures=self._failures(benchmark, own))
        promise = None if self.q is None else self.q.lookup(start.node_id, tree.ancestors(start.node_id))[0]
        q = None if self.q is None or promise is None else replace(self.q, values={start.node_id: promise}, stale={})
        return EpisodeStart(
            benchmark=benchmark,
            task=task,
            start=start.row.start,
            step=start.step,
            row=start.row.index,
            tree=alone.frozen(),
            q=q,
            centre=self.centre(benchmark),
            problems=tuple(replace(problem, reference="", data={}) for problem in problems),
            weights=start.weights,
            graded=own,
            experience=experience_lines(tree, start.node_id) if start.row.start == "snapshot" else (),
            lessons=self._lessons[benchmark],
        )

    def _failures(self, benchmark: str, evaluation: Evaluation) -> tuple[str, ...]:
        asked = {problem.id: problem.prompt for problem in self._problems[benchmark]}
        return failure_lines(evaluation, asked, self._ours.env.max_logs)

    # ---- a step ends ----------------------------------------------------------------------------------------------

    def finish(self, uid: str, episode: Episode) -> None:
        """Take in a finished episode; it is durable, and counts once its step is merged."""
        self._store.put_delta(episode.benchmark, episode.step, _key(episode), episode.delta)
        self._pending[(uid, episode.session)] = episode

    def merge(
        self, step: int, sessions: Sequence[tuple[str, int]]
    ) -> tuple[dict[tuple[str, int], Episode], dict[RowKey, RowTarget], float]:
        """Make the step's episodes part of the shared trees; those of other sessions are dropped.

        Returns:
            The merged episodes by (uid, session) in key order, what the trees say of their rows now, and the share of
            rows in which a gain was possible.
        """
        merged = {key: self._pending[key] for key in sessions if key in self._pending}
        merged = dict(sorted(merged.items(), key=lambda item: _key(item[1])))
        rows = {episode.row for episode in merged.values()}
        starts = [self._graded[index] for index in sorted(rows) if index in self._graded]
        targets: dict[RowKey, RowTarget] = {}
        self._origins = {
            (uid, session, t): origin_of(episode, t)
            for (uid, session), episode in merged.items()
            for t in range(len(episode.edited))
        }
        self._tried = []
        with self._store.together():
            for benchmark in self._benchmarks:
                own = {key: episode for key, episode in merged.items() if episode.benchmark == benchmark}
                if own:
                    targets |= self._merge(benchmark, step, own, [s for s in starts if s[0].row.benchmark == benchmark])
        self.plan_choices = [
            {"step": step, "benchmark": s.row.benchmark, "row": s.row.index, **s.choice} for s, _ in starts if s.choice
        ]
        self._choices.append(self.plan_choices)
        self._choices.append(choice for episode in merged.values() for choice in episode.choices)
        can_gain = sum(any(grade.score < 1.0 for grade in graded[start.node_id].grades) for start, graded in starts)
        self.predictions.begin(step, merged, targets, {name: self.centre(name) for name in self._benchmarks})
        self._begin()
        return merged, targets, can_gain / len(starts) if starts else 0.0

    def _merge(
        self,
        benchmark: str,
        step: int,
        episodes: Mapping[tuple[str, int], Episode],
        starts: Sequence[tuple[RowStart, Mapping[str, Evaluation]]],
    ) -> dict[RowKey, RowTarget]:
        deltas = {}
        for start, graded in starts:
            grades = self.trees[benchmark].overlay(step=step)
            for node_id, evaluation in graded.items():
                failures = self._failures(benchmark, evaluation) if node_id == start.node_id else None
                grades.add_grades(node_id, scores(evaluation), weights=start.weights, failures=failures)
            deltas[f"{start.row.index:08d}/start"] = grades.delta()
            self._store.put_delta(benchmark, step, f"{start.row.index:08d}/start", grades.delta())
        deltas |= {_key(episode): episode.delta for episode in episodes.values()}
        self.trees[benchmark] = tree = self.trees[benchmark].merged(deltas.values(), step)
        self._fix_centre(benchmark)
        future = futures(tree, self._shape.gamma)
        promises = node_promises(tree, self._shape.gamma, future)
        targets = row_targets(
            tree, episodes, future, promises, self._shape.gamma, self.centre(benchmark), self._ours.env.invalid_penalty
        )
        records = experience_of(tree, episodes, targets, self.q, self.centre(benchmark))
        self._tried += records
        self._store.put_experience(benchmark, records)
        self._experience[benchmark] = self._experience[benchmark].extended(records)
        self._store.commit_step(benchmark, step, list(deltas))
        return targets

    def keep_rows(self, step: int, rows: Mapping[RowKey, ReplayRow]) -> None:
        """Keep training rows of the step that was merged last, for the critic's replay."""
        kept = {self._origins[key]: row for key, row in rows.items() if key in self._origins}
        self.replay.keep(step, kept, self._tried)

    def centre(self, benchmark: str) -> float:
        """The score that a critic's 0 stands for: the seed's, as it was believed after the first merge."""
        return self._centres.get(benchmark, ROOT_PRIOR_MEAN)

    def centres(self) -> Mapping[str, float]:
        """By benchmark, of those that something was merged of."""
        return dict(self._centres)

    def _fix_centre(self, benchmark: str) -> None:
        if benchmark not in self._centres:
            tree = self.trees[benchmark]
            self._centres[benchmark] = tree.x(tree.root_id)
            self._store.put_meta(CENTRE, self._centres)

    # ---- the critic -----------------------------------------------------------------------------------------------

    def to_score(self, tokens: PolicyTokens, weights_step: int) -> tuple[list[ScoreGroup], dict[str, float]]:
        """Every node of every tree that has no value of the critic's weights of ``weights_step``, and the values of
        the others, above the centre."""
        groups: list[ScoreGroup] = []
        kept: dict[str, float] = {}
        for benchmark, tree in self.trees.items():
            ids = [node.id for node in tree]
            stale = self.q.outdated(ids, weights_step) if self.q else tuple(ids)
            groups += score_groups(tree, stale, self._formats[benchmark], tokens, self._lessons[benchmark])
            if self.q is not None:
                current, centre = set(ids) - set(stale), self.centre(benchmark)
                kept |= {node_id: self.q.values[node_id] - centre for node_id in ids if node_id in current}
        return groups, kept

    def publish(
        self, step: int, values: Mapping[str, float], predictions: Mapping[RowKey, tuple[float, float]]
    ) -> dict[str, float]:
        """The selectors of later episodes use these promises.

        Args:
            values: node id -> V, above the centre.
            predictions: row -> (V, Q) as the critic had them before it saw the row, above the centre.

        Returns:
            The metrics ``critic/*`` of the comparison.
        """
        centre = {node.id: self.centre(name) for name, tree in self.trees.items() for node in tree}
        judged = self.predictions.judge(step, predictions)
        old = QSnapshot(step, {}) if self.q is None else self.q
        absolute = {node_id: v + centre[node_id] for node_id, v in values.items()}
        kept = {node_id: v for node_id, v in old.values.items() if node_id not in absolute}
        stale = {node_id: old.stale.get(node_id, old.weights_step) for node_id in kept}
        self.q = QSnapshot(step, {**kept, **absolute}, judged.nodes, judged.edits, stale)
        self._store.put_q(step, self.q)
        return judged.metrics


def _key(episode: Episode) -> str:
    return f"{episode.row:08d}/{episode.session:04d}"
