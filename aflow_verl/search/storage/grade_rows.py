"""Grades as rows. They are the many and the dear: each has been paid for."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, select

from aflow_verl.search.storage.rows import Row, original, sealed, storable
from aflow_verl.search.storage.tables import grades
from aflow_verl.types import Grade

_ASKED_AT_ONCE = 500
"""Problem ids in one query; a statement takes no more than some thousands of parameters."""
_FIELDS = ("problem_id", "score", "answer", "error", "calls", "cost_usd")
_ASKED = (
    select(*(grades.c[name] for name in _FIELDS))
    .where(grades.c.state_hash == bindparam("state_hash"), grades.c.fingerprint == bindparam("fingerprint"))
    .where(grades.c.problem_id.in_(bindparam("problem_ids", expanding=True)))
)


def grade_row(state_hash: str, fingerprint: str, grade: Grade) -> Row:
    """What is stored of it."""
    values = {name: getattr(grade, name) for name in _FIELDS}
    return sealed(grades, {"state_hash": state_hash, "fingerprint": fingerprint, **values})


def read_grades(connection: Connection, state_hash: str, fingerprint: str, problem_ids: Sequence[str]) -> list[Grade]:
    """Those that there are, in any order."""
    found = []
    for start in range(0, len(problem_ids), _ASKED_AT_ONCE):
        asked = [storable(problem_id) for problem_id in problem_ids[start : start + _ASKED_AT_ONCE]]
        shelf = {"state_hash": state_hash, "fingerprint": fingerprint, "problem_ids": asked}
        found += [_grade(*row) for row in connection.execute(_ASKED, shelf)]
    return found


def _grade(problem_id: str, score: float, answer: str, error: str | None, calls: int, cost_usd: float) -> Grade:
    readable = None if error is None else original(error)
    return Grade(original(problem_id), score, original(answer), readable, calls, cost_usd)
