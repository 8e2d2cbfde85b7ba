"""A PostgreSQL server of the machine's own programs, on a Unix socket, for as long as a test session."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from glob import glob
from pathlib import Path
from typing import Any

import pytest

START_SECONDS = 60
UNPRIVILEGED = ("postgres", "nobody")


@contextmanager
def postgresql_server() -> Iterator[str]:
    """Its URL. Skips where there is no PostgreSQL, or nobody whom it may run as."""
    programs = _programs()
    if programs is None:
        pytest.skip("no initdb and postgres on this machine")
    user = _user()
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # short: a socket's path has at most 107 bytes; open to another user
    try:
        if user:
            shutil.chown(folder, user["user"])
        initdb = [
            programs / "initdb",
            "-D",
            folder / "data",
            "-U",
            "test",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "-N",
        ]
        subprocess.run(initdb, check=True, capture_output=True, cwd="/", **user)
        server = [programs / "postgres", "-D", folder / "data", "-k", folder, "-h", "", "-F"]
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(server, stderr=log, stdout=log, cwd="/", **user)
        try:
            url = f"postgresql://test@/postgres?host={folder}"
            _wait(url, process, folder / "log")
            yield url
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path | None:
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else []
    places += [Path(place) for place in sorted(glob("/usr/lib/postgresql/*/bin"))]
    return next((p for p in places if (p / "initdb").exists() and (p / "postgres").exists()), None)


def _user() -> dict[str, Any]:
    """For ``subprocess``: root may not run a server."""
    if os.geteuid() != 0:
        return {}
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    name = next((name for name in UNPRIVILEGED if name in known), None)
    if name is None:
        pytest.skip("PostgreSQL doesn't run as root, and there is no other user")
    return {"user": name, "group": known[name].pw_gid, "extra_groups": []}


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    import psycopg

    end = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg.connect(url).close()
            return
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(log.read_text()) from None
            time.sleep(0.1)
