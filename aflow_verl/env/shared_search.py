"""The search that all episodes of a run share: trees, critic values, experience. Synchronous; knows no Ray, no model.

Episodes stand on the snapshot of their step and hand in what they added; ``merge`` makes the next snapshot of it, in
the order of the episodes' keys, so that the order in which they finished leaves no trace.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from aflow_verl.config import ExperienceConfig
from aflow_verl.env.actions import ActionFormat
from aflow_verl.env.dataset import DatasetRow
from aflow_verl.env.episode import Episode, EpisodeStart
from aflow_verl.env.replay import Replay
from aflow_verl.env.scoring import score_groups
from aflow_verl.env.seeds import generator
from aflow_verl.env.starts import random_start
from aflow_verl.env.tokens import PolicyTokens
from aflow_verl.jsonl import JsonLines
from aflow_verl.search.experience import ExperiencePool, ExperienceRecord
from aflow_verl.search.node import Node
from aflow_verl.search.qvalues import QSnapshot, QValue, ScoreGroup
from aflow_verl.search.replay import ReplayRow
from aflow_verl.search.store import Store
from aflow_verl.search.tree import Tree
from aflow_verl.statistics import paired_interval
from aflow_verl.types import Problem
from aflow_verl.workflow.state import WorkflowState

NO_ROWS: Mapping[tuple[str, int, int], ReplayRow] = {}


class SharedSearch:
    """Trees by benchmark, and what goes with them. ``resume`` comes first."""

    def __init__(
        self,
        store: Store,
        choices: JsonLines,
        roots: Mapping[str, WorkflowState],
        formats: Mapping[str, ActionFormat],
        seed: int,
        experience: ExperienceConfig,
    ) -> None:
        """``choices``: the run's ``choices.jsonl``. ``seed``: the recipe's."""
        self._store = store
        self._choices = choices
        self._formats = formats
        self._seed = seed
        self._sampling = experience.sampling
        self.replay = Replay(store, experience, seed)
        self.trees: dict[str, Tree] = {}
        self._experience: dict[str, ExperiencePool] = {}
        self.q: QSnapshot | None = None
        self._pending: dict[tuple[str, int], Episode] = {}
        for benchmark, state in roots.items():
            store.put_root(benchmark, state)
        self._benchmarks = tuple(roots)

    def resume(self, step: int) -> None:
        """Go back to the state after ``step`` (0: the seeds alone). Later grades stay as evaluation cache."""
        self._store.forget_after(step)
        self._choices.keep(lambda line: line["step"] <= step)
        self.trees = {name: self._store.load_tree(name, step) for name in self._benchmarks}
        self._experience = {name: self._store.load_experience(name, step) for name in self._benchmarks}
        self.q = self._store.get_q(step)
        self.replay.resume(step)
        self._pending.clear()

    def start(self, row: DatasetRow, step: int, task: str, problems: Sequence[Problem]) -> EpisodeStart:
        """What the row means at this step; references are taken out of the problems."""
        tree = self.trees[row.benchmark]
        if row.start == "root":
            tree = tree.alone(tree.root_id)
        elif row.start == "random":
            rng = generator(self._seed, "root", step, row.index)
            tree = tree.alone(random_start(tree, self._experience[row.benchmark], self._sampling, rng))
        shown = tuple(replace(problem, reference="", data={}) for problem in problems)
        return EpisodeStart(row.benchmark, task, row.start, step, row.index, tree, self.q, shown)

    def finish(self, uid: str, episode: Episode) -> None:
        """Take in a finished episode; it is durable, and counts once its step is merged."""
        self._store.put_delta(episode.benchmark, episode.step, _key(episode), episode.delta)
        self._pending[(uid, episode.session)] = episode

    def merge(
        self,
        step: int,
        sessions: Sequence[tuple[str, int]],
        rows: Mapping[tuple[str, int, int], ReplayRow] = NO_ROWS,
    ) -> list[Episode]:
        """Make the step's episodes part of the shared trees; those of other sessions are dropped.

        Args:
            rows: (uid, session, t) -> the training row of that step, where rows are kept for replay.

        Returns:
            The merged episodes in key order.
        """
        played = {(uid, session, t): row for (uid, session, t), row in rows.items() if (uid, session) in self._pending}
        kept = {_origin(self._pending[(uid, session)], t): row for (uid, session, t), row in played.items()}
        tried: list[ExperienceRecord] = []
        episodes = sorted((self._pending[key] for key in sessions if key in self._pending), key=_key)
        with self._store.together():
            for benchmark, group in groupby(sorted(episodes, key=lambda e: e.benchmark), key=lambda e: e.benchmark):
                merged = list(group)
                self.trees[benchmark] = self.trees[benchmark].merged([e.delta for e in merged], step)
                records = [record for episode in merged for record in self._records(episode)]
                tried += records
                self._store.put_experience(benchmark, records)
                self._experience[benchmark] = self._experience[benchmark].extended(records)
                self._store.commit_step(benchmark, step, [_key(e) for e in merged])
        self.replay.keep(step, kept, tried)
        self._choices.append(choice for episode in episodes for choice in episode.choices)
        self._pending.clear()
        return episodes

    def _records(self, episode: Episode) -> list[ExperienceRecord]:
        tree = self.trees[episode.benchmark]
        records = []
        for t, (parent_id, child_id) in enumerate(zip(episode.edited, episode.children, strict=True)):
            action = episode.choices[t]["action"]
            if child_id is None and episode.invalid[t] is None:
                continue  # stopped: nothing was tried
            parent, child = tree[parent_id], None if child_id is None else tree[child_id]
            value = self.q.lookup(parent_id, tree.ancestors(parent_id))[0] if self.q else None
            modification = "unreadable reply" if action is None else str(action)
            records.append(_record(parent, child, modification, episode, t, value.v if value else None))
        return records

    def publish(self, step: int, snapshot: QSnapshot) -> None:
        """The selectors of later episodes use ``snapshot``."""
        self._store.put_q(step, snapshot)
        self.q = snapshot

    def known_returns(self) -> dict[str, list[float]]:
        """Tree returns of the edits made of each node so far."""
        returns: dict[str, list[float]] = {}
        for pool in self._experience.values():
            for record in pool:
                if record.tree_return is not None:
                    returns.setdefault(record.parent, []).append(record.tree_return)
        return returns

    def to_score(self, tokens: PolicyTokens, weights_step: int) -> tuple[list[ScoreGroup], dict[str, QValue]]:
        """Every node of every tree that has no value of the critic's weights of ``weights_step``, and the values of
        the others."""
        groups, kept = [], {}
        for benchmark, tree in self.trees.items():
            ids = [node.id for node in tree]
            stale = self.q.stale(ids, weights_step) if self.q else tuple(ids)
            asked = frozenset(stale)
            kept.update({i: self.q.values[i] for i in ids if self.q and i not in asked})
            groups.extend(score_groups(tree, stale, self._formats[benchmark], tokens))
        return groups, kept


def _key(episode: Episode) -> str:
    return f"{episode.row:08d}/{episode.session:04d}"


def _origin(episode: Episode, t: int) -> str:
    return f"row{episode.row}/session{episode.session}/{t}"


def _record(
    parent: Node, child: Node | None, modification: str, episode: Episode, t: int, v: float | None
) -> ExperienceRecord:
    tree_return = episode.tree_returns[t]
    gain = paired_interval(child.grades, parent.grades) if child else None
    shared = sorted(set(child.grades) & set(parent.grades)) if child else []
    before = sum(parent.grades[p] for p in shared) / len(shared) if shared else parent.mean
    return ExperienceRecord(
        parent=parent.id,
        child=child.id if child else None,
        modification=modification,
        before=before,
        after=None if gain is None else before + gain.mean,
        problems=len(shared),
        interval=None if gain is None else (gain.low, gain.high),
        operators=child.state.operators if child else (),
        weights_step=episode.step - 1,
        origin=_origin(episode, t),
        step=episode.step,
        tree_return=tree_return,
        surprise=None if v is None else abs(v - tree_return),
    )
