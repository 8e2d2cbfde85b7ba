"""What outlives a process: evaluated grades, trees, critic values, experience and training rows for replay.

Two kinds of data. Grades are a cache of paid work: durable when ``put_grades`` returns, never forgotten. Everything
else belongs to a training step: a resume at step k calls ``forget_after(k)`` and sees the records up to k. A delta
counts from the moment its step is committed; deltas of a step that was cut short are not replayed.
Several runs may share a store, at once, too: grades and experience belong to all of them, the rest to its run.
Every method is one transaction, or all in a ``together`` are, and raises StorageError (disk, server) or UserError
(damaged file).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, and_, delete, select, update

from aflow_verl.errors import UserError
from aflow_verl.search.experience import ExperiencePool, ExperienceRecord
from aflow_verl.search.node import ROOT_PRIOR_MEAN
from aflow_verl.search.qvalues import QSnapshot
from aflow_verl.search.records import TreeDelta, delta_from_json, delta_to_json, state_from_json, state_to_json
from aflow_verl.search.replay import ReplayKey, ReplayRow
from aflow_verl.search.storage.database import insert, replace
from aflow_verl.search.storage.grade_rows import grade_row, read_grades
from aflow_verl.search.storage.opening import open_database
from aflow_verl.search.storage.replay_rows import drop_all_but_newest, read_keys, read_rows, replay_rows
from aflow_verl.search.storage.rows import Row, digest, sealed
from aflow_verl.search.storage.tables import deltas, experience, grades, meta, qvalues, replay, roots
from aflow_verl.search.tree import Tree
from aflow_verl.types import Grade
from aflow_verl.workflow.state import WorkflowState

MAIN = "main"
"""The run of a store that no other run shares."""


class _Gathered(threading.local):
    """What a thread's writes wait in within ``together``."""

    work: list[Callable[[Connection], Any]] | None = None


class Store:
    """One SQLite file or PostgreSQL database; see the top of this module. May be used from any thread."""

    def __init__(self, url: str | Path, run: str = MAIN) -> None:
        """Creates, migrates or restores it where it has to.

        Args:
            url: a path, ``sqlite:///path`` or ``postgresql://user@host/database``.
            run: whose trees, critic values and meta are meant; one process at a time for each.
        """
        self._opened = open_database(url, run)
        self._database = self._opened.database
        self._gathered = _Gathered()
        self.run = run
        self.name = self._database.name
        """For messages."""
        self.notices = self._opened.notices
        """What had to be done to open it, one line each, for the user."""

    def close(self) -> None:
        """Later calls raise StorageError."""
        self._opened.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def keep_good_copy(self) -> None:
        """What a damaged file is restored to at worst; to be called after each step. Does nothing on a server."""
        self._opened.keep_good_copy()

    @contextmanager
    def together(self) -> Iterator[None]:
        """This thread's writes in the block become one transaction, at its end: all of them or none, and none where the
        block raises. Reads in the block don't see them, and what they raise is raised at the end."""
        work = self._gathered.work = []
        try:
            yield
        finally:
            self._gathered.work = None
        if work:
            self._database.write(lambda connection: [one(connection) for one in work])

    # Grades

    def put_grades(self, state_hash: str, fingerprint: str, new: Iterable[Grade]) -> None:
        """Keeps what this executor made of this workflow; a grade that is there already stays."""
        self.put_shelves({(state_hash, fingerprint): list(new)})

    def put_shelves(self, shelves: Mapping[tuple[str, str], Sequence[Grade]]) -> None:
        """``put_grades`` for several pairs of workflow and executor at once."""
        # In one order everywhere: on PostgreSQL two writers of the same grades could wait for each other forever.
        self._add(
            grades,
            [
                grade_row(*shelf, grade)
                for shelf in sorted(shelves)
                for grade in sorted(shelves[shelf], key=lambda grade: grade.problem_id)
            ],
        )

    def get_grades(self, state_hash: str, fingerprint: str, problem_ids: Iterable[str]) -> dict[str, Grade]:
        """The grades that are known, by problem id, in the order asked for."""
        asked = list(problem_ids)
        found = self._database.read(lambda c: read_grades(c, state_hash, fingerprint, asked))
        known = {grade.problem_id: grade for grade in found}
        return {problem_id: known[problem_id] for problem_id in asked if problem_id in known}

    # Trees

    def put_root(self, benchmark: str, state: WorkflowState) -> None:
        """Declares a benchmark's seed workflow. Raises UserError if the run has another one."""
        row = sealed(roots, {**self._key(benchmark), "state": json.dumps(state_to_json(state))})

        def put(connection: Connection) -> None:
            known = self._root(connection, benchmark)
            if known is not None and known.hash != state.hash:
                raise UserError(
                    f"{self.name}: holds a search of {benchmark} from another seed workflow; name another run_dir"
                )
            connection.execute(insert(connection, roots).on_conflict_do_nothing(), row)

        self._write(put)

    def put_delta(self, benchmark: str, step: int, key: str, delta: TreeDelta) -> None:
        """Keeps what one episode added; it counts once its step is committed. A second delta of this key replaces
        the first until then. Raises ValueError where another one is committed: what was trained on stays."""
        values = {"step": step, "key": key, "records": json.dumps(delta_to_json(delta))}
        row = sealed(deltas, {**self._key(benchmark), **values})

        def put(connection: Connection) -> None:
            new = insert(connection, deltas)
            replaced = {name: new.excluded[name] for name in ("records", "checksum")}
            statement = new.on_conflict_do_update(
                index_elements=list(deltas.primary_key), set_=replaced, where=deltas.c.position.is_(None)
            )
            kept = connection.execute(statement, row, execution_options={"preserve_rowcount": True})
            if kept.rowcount == 1:
                return
            there = and_(*(column == row[column.name] for column in deltas.primary_key))
            if connection.execute(select(deltas.c.records).where(there)).scalar() != row["records"]:
                raise ValueError(
                    f"{self.name}: another delta {key!r} of {benchmark} at step {step} is committed already"
                )

        self._write(put)

    def commit_step(self, benchmark: str, step: int, keys: Sequence[str]) -> None:
        """The step is done: it consists of these deltas, in this order. Raises KeyError for one that was not put."""
        of_step = and_(deltas.c.run == self.run, deltas.c.benchmark == benchmark, deltas.c.step == step)

        def commit(connection: Connection) -> None:
            connection.execute(update(deltas).where(of_step).values(position=None))
            for position, key in enumerate(keys):
                place = update(deltas).where(of_step, deltas.c.key == key).values(position=position)
                if connection.execute(place).rowcount != 1:
                    raise KeyError(f"no delta {key!r} of {benchmark} at step {step}")

        self._write(commit)

    def load_tree(self, benchmark: str, up_to_step: int, root_prior_mean: float = ROOT_PRIOR_MEAN) -> Tree:
        """The tree as it was after that step: the root and the committed deltas, in the order of their commits.

        ``root_prior_mean``: what is believed of a root that comes from elsewhere.

        Raises KeyError if the benchmark has no root.
        """
        committed = (
            select(deltas.c.step, deltas.c.records)
            .where(deltas.c.run == self.run, deltas.c.benchmark == benchmark)
            .where(deltas.c.step <= up_to_step, deltas.c.position.is_not(None))
            .order_by(deltas.c.step, deltas.c.position)
        )
        root, rows = self._database.read(lambda c: (self._root(c, benchmark), c.execute(committed).all()))
        if root is None:
            raise KeyError(benchmark)
        tree = Tree.seed(root, prior_mean=root_prior_mean)
        for step, group in groupby(rows, key=lambda row: row.step):
            tree = tree.merged([delta_from_json(json.loads(row.records)) for row in group], step)
        return tree

    def forget_after(self, step: int) -> None:
        """Drops the run's records of later steps: trees', critic's, experience's and rows for replay; grades stay."""

        def forget(connection: Connection) -> None:
            for table in (deltas, qvalues, experience, replay):
                connection.execute(delete(table).where(table.c.run == self.run, table.c.step > step))

        self._write(forget)

    # Critic values

    def put_q(self, step: int, snapshot: QSnapshot) -> None:
        """Keeps the export made at this step, in place of an earlier one of the same step."""
        text = json.dumps(snapshot.to_json(), allow_nan=False)
        row = sealed(qvalues, {"run": self.run, "step": step, "snapshot": text})
        self._write(lambda c: replace(c, qvalues, row))

    def get_q(self, step: int) -> QSnapshot | None:
        """The last export made at this step or before; None for none."""
        query = select(qvalues.c.snapshot).where(qvalues.c.run == self.run, qvalues.c.step <= step)
        latest = query.order_by(qvalues.c.step.desc()).limit(1)
        text = self._database.read(lambda c: c.execute(latest).scalar())
        return None if text is None else QSnapshot.from_json(json.loads(text))

    # Experience

    def put_experience(self, benchmark: str, records: Iterable[ExperienceRecord]) -> None:
        """Adds records under their own steps; one that is there already is not added again."""
        self._add(experience, [self._experience_row(benchmark, record) for record in records])

    def load_experience(self, benchmark: str, up_to_step: int) -> ExperiencePool:
        """The pool as it was after that step: first what other runs have by now, then the run's own, oldest first.

        A record that several runs have counts once.
        """
        own = experience.c.run == self.run
        query = select(experience.c.record).where(experience.c.benchmark == benchmark)
        others = query.where(~own).order_by(experience.c.id)
        mine = query.where(own, experience.c.step <= up_to_step).order_by(experience.c.step, experience.c.id)
        ours, theirs = self._database.read(lambda c: [c.execute(q).scalars().all() for q in (mine, others)])
        known = set(ours)
        texts = [*dict.fromkeys(text for text in theirs if text not in known), *ours]
        return ExperiencePool(ExperienceRecord.from_json(json.loads(text)) for text in texts)

    def _experience_row(self, benchmark: str, record: ExperienceRecord) -> dict[str, Any]:
        text = json.dumps(record.to_json())
        values = {"step": record.step, "record": text, "digest": digest(text)}
        return sealed(experience, {**self._key(benchmark), **values})

    # Rows for the critic's replay

    def put_replay(self, rows: Mapping[ReplayKey, ReplayRow], newest: int) -> None:
        """Adds rows, and drops older steps where ``newest`` rows stay without them."""
        stored = replay_rows(self.run, rows)

        def put(connection: Connection) -> None:
            connection.execute(insert(connection, replay).on_conflict_do_nothing(), stored)
            drop_all_but_newest(connection, self.run, newest)

        if stored:
            self._write(put)

    def replay_keys(self, up_to_step: int) -> list[ReplayKey]:
        """Of the run's rows up to that step, oldest first."""
        return self._database.read(lambda c: read_keys(c, self.run, up_to_step))

    def load_replay(self, keys: Sequence[ReplayKey]) -> list[ReplayRow]:
        """The rows of these keys, in their order."""
        return self._database.read(lambda c: read_rows(c, self.run, keys))

    # Small things

    def put_meta(self, key: str, value: Any) -> None:
        """Keeps a JSON-able value."""
        row = sealed(meta, {"run": self.run, "key": key, "value": json.dumps(value)})
        self._write(lambda c: replace(c, meta, row))

    def get_meta(self, key: str, default: Any = None) -> Any:
        query = select(meta.c.value).where(meta.c.run == self.run, meta.c.key == key)
        text = self._database.read(lambda c: c.execute(query).scalar())
        return default if text is None else json.loads(text)

    def _add(self, table: Table, rows: Sequence[Row]) -> None:
        """Rows that are there already stay."""
        if rows:
            self._write(lambda c: c.execute(insert(c, table).on_conflict_do_nothing(), rows))

    def _key(self, benchmark: str) -> dict[str, str]:
        return {"run": self.run, "benchmark": benchmark}

    def _root(self, connection: Connection, benchmark: str) -> WorkflowState | None:
        query = select(roots.c.state).where(roots.c.run == self.run, roots.c.benchmark == benchmark)
        text = connection.execute(query).scalar()
        return None if text is None else state_from_json(json.loads(text))

    def _write(self, work: Callable[[Connection], Any]) -> None:
        if self._gathered.work is None:
            self._database.write(work)
        else:
            self._gathered.work.append(work)
