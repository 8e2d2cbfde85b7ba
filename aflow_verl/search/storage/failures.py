"""The databases' errors as ours: a bad file is the user's, a failing disk and a lost server are infrastructure."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, SQLAlchemyError

from aflow_verl.errors import StorageError, UserError

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT)
_PASSING = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL)
"""Another writer's lock, and a full disk, which somebody may empty."""


class DamagedFile(UserError):
    """SQLite, or a row's checksum, says that the file is not as it was written."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name}: is damaged ({why}); the same command again restores what can be restored")
        self.why = why


@contextmanager
def named(name: str) -> Iterator[None]:
    """Raises what SQLAlchemy and sqlite3 raise in the block as StorageError or DamagedFile.

    An IntegrityError stays what it is: the caller's mistake.
    """
    try:
        yield
    except IntegrityError:
        raise
    except sqlite3.Error as error:
        raise _of_sqlite(name, error) from error
    except DBAPIError as error:
        if isinstance(error.orig, sqlite3.Error):
            raise _of_sqlite(name, error.orig) from error
        passing = isinstance(error, OperationalError) or error.connection_invalidated
        raise StorageError(f"{name}: {_first_line(error.orig)}", retryable=passing) from error
    except SQLAlchemyError as error:
        raise StorageError(f"{name}: {_first_line(error)}", retryable=False) from error


def _of_sqlite(name: str, error: sqlite3.Error) -> StorageError | DamagedFile:
    code = getattr(error, "sqlite_errorcode", 0)
    if code & 0xFF in _DAMAGED or code == sqlite3.SQLITE_IOERR_SHORT_READ:
        return DamagedFile(name, str(error))
    return StorageError(f"{name}: {error}", retryable=code & 0xFF in _PASSING)


def _first_line(error: object) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
