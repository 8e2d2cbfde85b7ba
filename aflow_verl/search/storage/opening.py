"""Opens a store's database: found sound or restored, with today's tables."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from sqlalchemy import URL

from aflow_verl.errors import StorageError, UserError
from aflow_verl.search.storage.address import DRIVER, INSTALL, SQLITE, read_address
from aflow_verl.search.storage.database import Database
from aflow_verl.search.storage.failures import DamagedFile
from aflow_verl.search.storage.files import GOOD, Holders, beside, copy, inspect, tidy
from aflow_verl.search.storage.migrations import bring_up_to_date
from aflow_verl.search.storage.recovery import finish, recover
from aflow_verl.search.storage.tables import SCHEMA_VERSION


@dataclass(frozen=True)
class Opened:
    """A database that is ready, and what had to be done for it."""

    database: Database
    file: Path | None
    """SQLite's; None on a server."""
    holders: Holders | None
    notices: tuple[str, ...]
    """One line each, for the user."""

    def close(self) -> None:
        self.database.close()
        if self.holders is not None:
            self.holders.leave()

    def keep_good_copy(self) -> None:
        """From now on a damaged file is restored to this state at worst. A server's backups are its own affair.

        Raises:
            UserError: the file is damaged already; the copy before stays.
            StorageError: the disk.
        """
        if self.file is not None:
            copy(self.file, beside(self.file, GOOD))


def open_database(address: str | Path, run: str) -> Opened:
    """``run`` gets the rows of a file of version 1.

    Raises:
        UserError: another program's file, a newer schema, a damaged file with nothing to restore, a bad URL.
        StorageError: the disk.
    """
    url = read_address(address)
    return _open_file(url, run) if url.drivername == SQLITE else _open_server(url, run)


def _open_server(url: URL, run: str) -> Opened:
    if find_spec(DRIVER) is None:
        raise UserError(f"store.url: PostgreSQL needs {DRIVER}; {INSTALL}")
    database = Database(url)
    try:
        database.write(lambda connection: bring_up_to_date(connection, run))
    except StorageError as failure:
        database.close()
        raise UserError(f"store.url: {failure}; start the server, or correct the URL") from failure
    return Opened(database, None, None, ())


def _open_file(url: URL, run: str) -> Opened:
    path = Path(str(url.database))
    holders = Holders(path)
    database = Database(url)
    try:
        notices = _made_sound(path, holders)
        database.write(lambda connection: bring_up_to_date(connection, run))
        holders.join()
    except BaseException:
        database.close()
        holders.leave()
        raise
    return Opened(database, path, holders, notices)


def _made_sound(path: Path, holders: Holders) -> tuple[str, ...]:
    if holders.alone:
        tidy(path)
        finish(path)
    else:
        holders.join()  # waits for whoever may be restoring it
    try:
        return _keep_older(path, inspect(path))
    except DamagedFile as damage:
        if holders.alone:
            return (recover(path, damage.why),)
        raise UserError(
            f"{path}: is damaged ({damage.why}), and another process has it open; stop that one and start again, "
            "which restores what can be restored"
        ) from damage


def _keep_older(path: Path, version: int) -> tuple[str, ...]:
    """As it was before the migration, for the program that wrote it."""
    if version in (0, SCHEMA_VERSION):
        return ()
    older = beside(path, f".schema-{version}")
    copy(path, older)
    return (f"{path}: migrated from store schema {version} to {SCHEMA_VERSION}; {older.name} is as it was",)
