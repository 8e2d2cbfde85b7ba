"""What outlives a process: evaluated grades, trees, critic values and experience.

Two kinds of data. Grades are a cache of paid work: durable when ``put_grades`` returns, never forgotten. Everything
else belongs to a training step: a resume at step k calls ``forget_after(k)`` and sees the records up to k. A delta
counts from the moment its step is committed; deltas of a step that was cut short are not replayed.
Every method is one transaction and raises StorageError (disk) or UserError (bad file).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from aflow_verl.errors import UserError
from aflow_verl.search.database import Database
from aflow_verl.search.experience import ExperiencePool, ExperienceRecord
from aflow_verl.search.qvalues import QSnapshot
from aflow_verl.search.records import TreeDelta, delta_from_json, delta_to_json, state_from_json, state_to_json
from aflow_verl.search.tree import Tree
from aflow_verl.types import Grade
from aflow_verl.workflow.state import WorkflowState


class Store:
    """One SQLite file; see the top of this module. May be used from any thread."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._database = Database(self.path)

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # Grades

    def put_grades(self, state_hash: str, fingerprint: str, grades: Iterable[Grade]) -> None:
        """Keeps what this executor made of this workflow; a grade that is there already stays."""
        rows = [
            (state_hash, fingerprint, g.problem_id, g.score, g.answer, g.error, g.calls, g.cost_usd) for g in grades
        ]
        with self._database.transaction() as connection:
            connection.executemany("INSERT OR IGNORE INTO grades VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def get_grades(self, state_hash: str, fingerprint: str, problem_ids: Iterable[str]) -> dict[str, Grade]:
        """The grades that are known, by problem id, in the order asked for."""
        query = (
            "SELECT problem_id, score, answer, error, calls, cost_usd FROM grades"
            " WHERE state_hash = ? AND fingerprint = ? AND problem_id = ?"
        )
        found: dict[str, Grade] = {}
        with self._database.reading() as connection:
            for problem_id in problem_ids:
                row = connection.execute(query, (state_hash, fingerprint, problem_id)).fetchone()
                if row is not None:
                    found[problem_id] = Grade(*row)
        return found

    # Trees

    def put_root(self, benchmark: str, state: WorkflowState) -> None:
        """Declares a benchmark's seed workflow. Raises UserError if another one is there."""
        with self._database.transaction() as connection:
            known = _root(connection, benchmark)
            if known is not None and known.hash != state.hash:
                raise UserError(
                    f"{self.path}: holds a search of {benchmark} from another seed workflow; name another run_dir"
                )
            connection.execute(
                "INSERT OR IGNORE INTO roots VALUES (?, ?)", (benchmark, json.dumps(state_to_json(state)))
            )

    def put_delta(self, benchmark: str, step: int, key: str, delta: TreeDelta) -> None:
        """Keeps what one episode added; it counts once its step is committed. A second delta of this key replaces
        the first until then. Raises ValueError where the first is committed: what was trained on stays."""
        query = (
            "INSERT INTO deltas (benchmark, step, key, records) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (benchmark, step, key) DO UPDATE SET records = excluded.records WHERE position IS NULL"
        )
        with self._database.transaction() as connection:
            row = (benchmark, step, key, json.dumps(delta_to_json(delta)))
            if connection.execute(query, row).rowcount != 1:
                raise ValueError(f"{self.path}: delta {key!r} of {benchmark} at step {step} is committed already")

    def commit_step(self, benchmark: str, step: int, keys: Sequence[str]) -> None:
        """The step is done: it consists of these deltas, in this order. Raises KeyError for one that was not put."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE deltas SET position = NULL WHERE benchmark = ? AND step = ?", (benchmark, step))
            for position, key in enumerate(keys):
                updated = connection.execute(
                    "UPDATE deltas SET position = ? WHERE benchmark = ? AND step = ? AND key = ?",
                    (position, benchmark, step, key),
                )
                if updated.rowcount != 1:
                    raise KeyError(f"no delta {key!r} of {benchmark} at step {step}")

    def load_tree(self, benchmark: str, up_to_step: int) -> Tree:
        """The tree as it was after that step: the root and the committed deltas, in the order of their commits.

        Raises KeyError if the benchmark has no root.
        """
        query = (
            "SELECT step, records FROM deltas"
            " WHERE benchmark = ? AND step <= ? AND position IS NOT NULL ORDER BY step, position"
        )
        with self._database.reading() as connection:
            root = _root(connection, benchmark)
            rows = connection.execute(query, (benchmark, up_to_step)).fetchall()
        if root is None:
            raise KeyError(benchmark)
        by_step: dict[int, list[TreeDelta]] = {}
        for step, records in rows:
            by_step.setdefault(step, []).append(delta_from_json(json.loads(records)))
        tree = Tree.seed(root)
        for step, deltas in by_step.items():
            tree = tree.merged(deltas, step)
        return tree

    def forget_after(self, step: int) -> None:
        """Drops trees', critic's and experience's records of later steps; grades stay."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM deltas WHERE step > ?", (step,))
            connection.execute("DELETE FROM qvalues WHERE step > ?", (step,))
            connection.execute("DELETE FROM experience WHERE step > ?", (step,))

    # Critic values

    def put_q(self, step: int, snapshot: QSnapshot) -> None:
        """Keeps the export made at this step, in place of an earlier one of the same step."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO qvalues VALUES (?, ?)", (step, json.dumps(snapshot.to_json(), allow_nan=False))
            )

    def get_q(self, step: int) -> QSnapshot | None:
        """The last export made at this step or before; None for none."""
        query = "SELECT snapshot FROM qvalues WHERE step <= ? ORDER BY step DESC LIMIT 1"
        with self._database.reading() as connection:
            row = connection.execute(query, (step,)).fetchone()
        return None if row is None else QSnapshot.from_json(json.loads(row[0]))

    # Experience

    def put_experience(self, benchmark: str, records: Iterable[ExperienceRecord]) -> None:
        """Adds records under their own steps; one that is there already is not added again."""
        rows = [(benchmark, record.step, json.dumps(record.to_json())) for record in records]
        with self._database.transaction() as connection:
            connection.executemany("INSERT OR IGNORE INTO experience (benchmark, step, record) VALUES (?, ?, ?)", rows)

    def load_experience(self, benchmark: str, up_to_step: int) -> ExperiencePool:
        """The pool as it was after that step, oldest first."""
        query = "SELECT record FROM experience WHERE benchmark = ? AND step <= ? ORDER BY step, id"
        with self._database.reading() as connection:
            rows = connection.execute(query, (benchmark, up_to_step)).fetchall()
        return ExperiencePool(ExperienceRecord.from_json(json.loads(row[0])) for row in rows)

    # Small things

    def put_meta(self, key: str, value: Any) -> None:
        """Keeps a JSON-able value."""
        with self._database.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, json.dumps(value)))

    def get_meta(self, key: str, default: Any = None) -> Any:
        with self._database.reading() as connection:
            row = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return default if row is None else json.loads(row[0])


def _root(connection: sqlite3.Connection, benchmark: str) -> WorkflowState | None:
    row = connection.execute("SELECT state FROM roots WHERE benchmark = ?", (benchmark,)).fetchone()
    return None if row is None else state_from_json(json.loads(row[0]))
