"""Where a store is: a path or a URL of the recipe, as SQLAlchemy's URL."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from aflow_verl.errors import UserError

SQLITE = "sqlite"
DRIVER = "psycopg"
"""PostgreSQL's; the extra ``postgres``."""
INSTALL = "pip install 'aflow-verl[postgres]'"
POSTGRESQL = f"postgresql+{DRIVER}"
_NAMES = {"sqlite": SQLITE, "postgres": POSTGRESQL, "postgresql": POSTGRESQL, POSTGRESQL: POSTGRESQL}

_FORMS = "write sqlite:////path/of/a/file or postgresql://user@host/database"


def read_address(address: str | Path) -> URL:
    """``tree.sqlite``, ``sqlite:///tree.sqlite`` or ``postgresql://user@host/database``.

    Raises:
        UserError: a URL of something else.
    """
    if isinstance(address, Path) or "://" not in address:
        return URL.create(SQLITE, database=str(address))
    try:
        url = make_url(address)
    except ArgumentError:
        raise UserError(f"store.url: {address!r} is no URL; {_FORMS}") from None
    if url.drivername not in _NAMES or url.database in (None, "", ":memory:"):
        name = url.render_as_string(hide_password=True)
        raise UserError(f"store.url: {name} is no store; {_FORMS}")
    return url.set(drivername=_NAMES[url.drivername])


def shown(url: URL) -> str:
    """For messages: a file's path, or the URL without its password."""
    return str(url.database) if url.drivername == SQLITE else url.render_as_string(hide_password=True)
