from __future__ import annotations

import json
import os
from pathlib import Path

from aflow_verl.report.metrics import follow, number, read_metrics


def text(*steps: int, **values: object) -> str:
    return "".join(json.dumps({"step": step, **values}) + "\n" for step in steps)


def append(path: Path, content: str) -> None:
    with path.open("a") as file:
        file.write(content)


def test_a_follower_returns_each_whole_line_once(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    follower = follow(path)
    assert follower.read() == []
    append(path, text(1) + '{"step": 2, "a"')
    assert [line["step"] for line in follower.read()] == [1]
    assert follower.read() == []
    append(path, ": 5}\n" + text(3))
    assert follower.read() == [{"step": 2, "a": 5}, {"step": 3}]


def test_a_follower_of_a_resumed_run_returns_only_what_is_new(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    append(path, text(1, seconds=1.0) + text(2, seconds=2.0))
    follower = follow(path, skip_existing=True)
    rewritten = tmp_path / "metrics.tmp"  # the trainer drops the lines after its checkpoint, then trains them again
    append(rewritten, text(1, seconds=1.0))
    os.replace(rewritten, path)
    assert follower.read() == []
    append(path, text(2, seconds=2.5))
    assert follower.read() == [{"step": 2, "seconds": 2.5}]


def test_reading_skips_damaged_lines_and_keeps_the_last_of_a_step(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    append(path, text(2, a=1) + '{"step": 3, "a"\n[]\n{"a": 1}\n' + text(1) + text(2, a=2))
    assert read_metrics(path) == [{"step": 1}, {"step": 2, "a": 2}]
    assert read_metrics(tmp_path / "none.jsonl") == []


def test_numbers() -> None:
    line = {"step": 1, "int": 3, "float": 0.5, "null": None, "text": "x", "flag": True}
    assert [number(line, name) for name in ("int", "float", "null", "text", "flag", "missing")] == [
        3.0,
        0.5,
        None,
        None,
        None,
        None,
    ]
