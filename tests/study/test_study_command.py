"""``aflow-verl study`` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aflow_verl.commands.study import main
from aflow_verl.study.arms import ARMS, BASELINE, QUICK, chosen

SMALL = "mine: {shape: additive, edits: 8, good: 2, harmful: 2, problems: 12}\n"


@pytest.fixture
def families(tmp_path: Path) -> str:
    file = tmp_path / "families.yaml"
    file.write_text(SMALL, encoding="utf-8")
    return str(file)


def test_a_study_writes_report_record_and_plots(families: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["--families", families, "pair", "--arms", "race", "shown", "--seeds", "0:3", "--evaluations", "12"]
    assert main([*words, "--processes", "2", "--no-plots", "--out", str(out)]) == 0
    report = (out / "report.md").read_text(encoding="utf-8")
    assert all(f"\n| {arm} | " in report for arm in ("aflow", "race", "shown"))
    assert "| arm | mine | pair |" in report
    record = json.loads((out / "study.json").read_text(encoding="utf-8"))
    assert record["plan"]["seeds"] == [0, 1, 2]
    assert set(record["arms"]) == {"aflow", "race", "shown"}
    assert record["families"]["mine"]["problems"] == 12
    assert len(record["searches"]) == 2 * 3 * 3


def test_processes_change_nothing(families: str, tmp_path: Path) -> None:
    words = ["--families", families, "--arms", "default", "--seeds", "0:4", "--evaluations", "8", "--no-plots"]
    for processes in ("1", "2"):
        assert main([*words, "--processes", processes, "--out", str(tmp_path / processes)]) == 0
    one, two = ((tmp_path / processes / "study.json").read_bytes() for processes in "12")
    assert one == two


def test_pictures_are_drawn(families: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    words = ["--families", families, "--arms", "default", "--seeds", "0:2", "--evaluations", "8", "--processes", "1"]
    assert main([*words, "--out", str(tmp_path)]) == 0
    assert {path.name for path in tmp_path.glob("*.[ps][nv]g")} == {
        "mean.png",
        "mean.svg",
        "families.png",
        "families.svg",
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seeds", "5:5"], "--seeds: '5:5'"),
        (["--arms", "rase"], "did you mean race"),
        (["--families", "pear"], "did you mean pair"),
        (["--evaluations", "1"], "--evaluations"),
        (["--quik"], "--quik"),
    ],
)
def test_mistakes_are_told_in_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_the_baseline_always_runs() -> None:
    assert [arm.name for arm in chosen(["race"])] == [BASELINE, "race"]
    assert {arm.name for arm in chosen([], quick=True)} == set(QUICK)
    assert len(chosen([])) == len(ARMS)
