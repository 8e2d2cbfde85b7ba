"""``aflow-verl study training``."""

from __future__ import annotations

import json

import pytest

from aflow_verl.commands.study import main

TINY = ["--seeds", "1", "--steps", "2", "--rows", "2", "--sessions", "2", "--problems", "8", "--processes", "1"]


def call(*words: str) -> int:
    return main(["training", *words])


def test_the_report_has_every_table(capsys) -> None:
    assert call(*TINY) == 0
    text = capsys.readouterr().out
    for title in ("Advantages", "Mean advantage", "Spread", "Calibration", "Honesty", "The best workflow"):
        assert f"## {title}" in text
    assert "nan" not in text
    assert "inf" not in text


def test_files(tmp_path) -> None:
    world = tmp_path / "world.yaml"
    world.write_text("accuracy: 0.7\n")
    assert call(*TINY, "--world", str(world), "--out", str(tmp_path / "out")) == 0
    record = json.loads((tmp_path / "out" / "training.json").read_text())
    assert record["plan"]["world"]["accuracy"] == 0.7
    assert set(record["parts"]) == {"8", "invalid 0", "invalid 0.6"}
    assert (tmp_path / "out" / "training.md").read_text().startswith("Seeds: 1;")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seeds", "0"], "--seeds: 0 is below 1"),
        (["--problems", "500"], "the world has 200 training problems"),
        (["--sessions", "1"], "--sessions: 1 is below 2"),
        (["--world", "nowhere.yaml"], "nowhere.yaml: No such file"),
    ],
)
def test_what_cannot_be_simulated_is_told_in_one_line(words: list[str], message: str, capsys) -> None:
    assert call(*words) == 2
    told = capsys.readouterr().err
    assert message in told
    assert len(told.splitlines()) == 1
