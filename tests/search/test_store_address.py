"""What a recipe may say of where its store is."""

from pathlib import Path

import pytest

from aflow_verl.errors import UserError
from aflow_verl.search.storage import opening
from aflow_verl.search.storage.address import read_address, shown
from aflow_verl.search.store import Store


@pytest.mark.parametrize("text", ["runs/tree.sqlite", Path("runs/tree.sqlite"), "sqlite:///runs/tree.sqlite"])
def test_a_file(text):
    url = read_address(text)
    assert (url.drivername, url.database, shown(url)) == ("sqlite", "runs/tree.sqlite", "runs/tree.sqlite")


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_a_server_is_shown_without_its_password(scheme):
    url = read_address(f"{scheme}://me:secret@host:5433/flows")
    assert (url.drivername, url.host, url.port, url.password) == ("postgresql+psycopg", "host", 5433, "secret")
    assert shown(url) == "postgresql+psycopg://me:***@host:5433/flows"


@pytest.mark.parametrize("text", ["mysql://host/flows", "postgresql://host", "sqlite://", "sqlite:///:memory:", "://"])
def test_anything_else_is_refused(text):
    with pytest.raises(UserError, match=r"^store\.url: .*postgresql://user@host/database"):
        read_address(text)


def test_a_missing_driver_is_named(monkeypatch):
    monkeypatch.setattr(opening, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"needs psycopg; pip install 'aflow-verl\[postgres\]'"):
        Store("postgresql://host/flows")


def test_a_server_that_is_not_there_is_named(monkeypatch, tmp_path):
    pytest.importorskip("psycopg")
    monkeypatch.setattr("aflow_verl.search.storage.database.sleep", lambda seconds: None)
    with pytest.raises(UserError, match=r"^store\.url: postgresql.*\*\*\*@.*; start the server, or correct the URL"):
        Store(f"postgresql://me:secret@/flows?host={tmp_path}")
