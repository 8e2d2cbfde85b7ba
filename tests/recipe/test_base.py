"""Where the defaults are found."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

from aflow_verl.errors import UserError
from aflow_verl.recipe import load
from aflow_verl.recipe.base import IN_A_CLONE, IN_A_WHEEL, find_base

ROOT = Path(__file__).parents[2]


def test_in_a_clone() -> None:
    assert find_base() == IN_A_CLONE == ROOT / "recipes" / "base.yaml"


def test_in_an_installed_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "lib" / "site-packages"
    info = site / "a_wheel-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: a-wheel\nVersion: 1\n")
    (info / "RECORD").write_text(f"../../{IN_A_WHEEL},,\na_wheel/__init__.py,,\n")
    base = tmp_path / IN_A_WHEEL
    monkeypatch.setattr(sys, "path", [str(site), *sys.path])
    nowhere = tmp_path / "recipes" / "base.yaml"
    assert find_base(nowhere, "a-wheel") == nowhere, "listed and not there"
    base.parent.mkdir(parents=True)
    base.touch()
    assert find_base(nowhere, "a-wheel") == base.resolve()
    assert find_base(nowhere, "no-such-distribution") == nowhere


def test_the_wheel_takes_the_recipes_along() -> None:
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert tool["data-files"] == {str(Path(IN_A_WHEEL).parent): ["recipes/*.yaml"]}


def test_missing_defaults_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("seed: 1\n")
    monkeypatch.setattr(load, "BASE", tmp_path / "base.yaml")
    load._reference.cache_clear()
    with pytest.raises(UserError, match=r"base\.yaml: the defaults under every recipe are missing; install anew"):
        load.load_recipe(recipe, [])
