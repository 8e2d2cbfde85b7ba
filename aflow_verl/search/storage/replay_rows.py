"""Rows for the critic's replay as rows of the store. Token ids are most of it, so few are kept and fewer are read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, and_, delete, func, select

from aflow_verl.search.replay import ReplayKey, ReplayRow
from aflow_verl.search.storage.rows import Row, sealed
from aflow_verl.search.storage.tables import replay


def replay_rows(run: str, rows: Mapping[ReplayKey, ReplayRow]) -> list[Row]:
    """What is stored of them."""
    return [
        sealed(
            replay,
            {
                "run": run,
                "step": key.step,
                "origin": key.origin,
                "after": key.after,
                "surprise": key.surprise,
                "v": row.v,
                "q": row.q,
                "prompt_ids": json.dumps(row.prompt_ids),
                "response_ids": json.dumps(row.response_ids),
            },
        )
        for key, row in rows.items()
    ]


def read_keys(connection: Connection, run: str, up_to_step: int) -> list[ReplayKey]:
    """Of all rows, oldest first; of one step in the order of their origins, whatever the database's alphabet."""
    columns = (replay.c.step, replay.c.origin, replay.c.after, replay.c.surprise)
    query = select(*columns).where(replay.c.run == run, replay.c.step <= up_to_step)
    return sorted((ReplayKey(*row) for row in connection.execute(query)), key=lambda key: (key.step, key.origin))


def read_rows(connection: Connection, run: str, keys: Iterable[ReplayKey]) -> list[ReplayRow]:
    """The rows of these keys, in their order; nothing for one that is gone."""
    columns = (replay.c.prompt_ids, replay.c.response_ids, replay.c.v, replay.c.q)
    query = select(*columns).where(replay.c.run == run)
    found = []
    for key in keys:
        row = connection.execute(query.where(replay.c.step == key.step, replay.c.origin == key.origin)).one_or_none()
        if row is not None:
            prompt_ids, response_ids = json.loads(row.prompt_ids), json.loads(row.response_ids)
            found.append(ReplayRow(tuple(prompt_ids), tuple(response_ids), row.v, row.q))
    return found


def drop_all_but_newest(connection: Connection, run: str, count: int) -> None:
    """Deletes whole steps, the oldest, as long as ``count`` rows stay."""
    of_run = replay.c.run == run
    per_step = select(replay.c.step, func.count()).where(of_run).group_by(replay.c.step).order_by(replay.c.step.desc())
    kept = 0
    for step, rows in connection.execute(per_step).all():
        if kept >= count:
            connection.execute(delete(replay).where(and_(of_run, replay.c.step <= step)))
            return
        kept += rows
