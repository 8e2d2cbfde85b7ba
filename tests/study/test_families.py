"""Families: seeds that never meet, and files that bring others."""

from __future__ import annotations

from pathlib import Path

import pytest

from aflow_verl.errors import UserError
from aflow_verl.study.families import (
    FAMILIES,
    REPORTING_SEEDS,
    TRAINING_SEEDS,
    TUNING_SEEDS,
    Family,
    chosen,
    rho_of,
)
from aflow_verl.study.landscapes import Landscape

PYTHON = """
from aflow_verl.study.families import Family

def all_or_half(on_SG, trap_S, weights_G, parameter):
    return 0.5 * on_SG.any(axis=1) + 0.5 * on_SG.all(axis=1)

SHAPES = {"all_or_half": all_or_half}
FAMILIES = [Family("mine", "half at once", "all_or_half", edits=8, good=2, harmful=2)]
"""


def test_seeds_for_tuning_training_and_reporting_are_disjoint() -> None:
    seeds = [*TUNING_SEEDS, *REPORTING_SEEDS, *TRAINING_SEEDS]
    assert len(seeds) == len(set(seeds))


def test_there_are_ten_families_and_one_for_each_data_set() -> None:
    assert len(FAMILIES) >= 10
    assert {"gsm8k", "math", "humaneval", "mbpp", "hotpotqa", "drop"} <= set(FAMILIES)


def test_rho_is_the_one_that_gives_the_recorded_noise() -> None:
    assert rho_of(0.5, 0.5**0.5) == pytest.approx(0.0, abs=1e-4)  # independent coins differ half of the time
    assert rho_of(0.5, (1 / 3) ** 0.5) == pytest.approx(0.5, abs=1e-3)  # P(both) = 1/4 + asin(1/2) / (2 pi) = 1/3
    assert rho_of(0.817, 0.2383) == pytest.approx(FAMILIES["gsm8k"].rho, abs=2e-3)


def test_a_yaml_file_brings_families(tmp_path: Path) -> None:
    file = tmp_path / "more.yaml"
    file.write_text("mine: {shape: ladder, edits: 9, good: 3, harmful: 2, harm: [0.01, 0.02]}\n", encoding="utf-8")
    catalog = chosen([str(file), "pair"])
    assert list(catalog.families) == ["mine", "pair"]
    assert Landscape(catalog.families["mine"], 0).optimum == pytest.approx(0.8)


def test_a_python_file_brings_families_and_shapes(tmp_path: Path) -> None:
    file = tmp_path / "more_families.py"
    file.write_text(PYTHON, encoding="utf-8")
    catalog = chosen([str(file)])
    land = Landscape(catalog.families["mine"], 0, catalog.shapes)
    assert land.score(1 << land.good[0]) == pytest.approx(0.65)
    assert land.optimum == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mine: {shape: lader}", "did you mean ladder"),
        ("mine: {shape: ladder, goood: 3}", "goood"),
        ("mine: 3", "expected a mapping"),
        ("- mine", "expected family names"),
        ("", "expected family names"),
        ("mine: {shape: ladder, edits: 3}", "fewer than their roles need"),
        ("mine: [", "no YAML"),
    ],
)
def test_a_file_that_makes_no_family_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        chosen([str(file)])


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(UserError, match="did you mean ladder"):
        chosen(["lader"])
    with pytest.raises(UserError, match="no such file"):
        chosen(["lader.yaml"])


def test_a_family_needs_room_for_its_roles() -> None:
    with pytest.raises(UserError, match="at most"):
        Family("wide", "", "additive", good=15)
    with pytest.raises(UserError, match="base"):
        Family("high", "", "additive", base=0.9, gain=0.2)
