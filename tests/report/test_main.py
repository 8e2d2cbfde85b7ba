from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from aflow_verl.report.__main__ import main
from aflow_verl.report.result import RunResult, write_result


def write_steps(run_dir: Path, n: int) -> None:
    lines = [json.dumps({"step": k, "search/best_score": k / 10}) for k in range(1, n + 1)]
    (run_dir / "metrics.jsonl").write_text("\n".join(lines) + "\n")


def test_a_finished_run_is_printed_again(tmp_path: Path, run_result: RunResult) -> None:
    write_steps(tmp_path, 6)
    write_result(tmp_path, run_result)
    stream = io.StringIO()
    assert main([str(tmp_path)], stream) == 0
    text = stream.getvalue()
    assert "6/6" in text
    assert "0.600" in text
    assert "+0.300 [+0.120, +0.480]" in text


def test_a_run_under_way_has_steps_and_no_summary(tmp_path: Path) -> None:
    write_steps(tmp_path, 2)
    stream = io.StringIO()
    assert main([str(tmp_path)], stream) == 0
    assert stream.getvalue().splitlines()[-1].startswith("The run has not ended")


def test_health_is_told_from_the_files_as_the_runs_own_recipe_asks(tmp_path: Path) -> None:
    lines = [{"step": k, "gigpo/live_rows": 0.0, "search/new_workflows": 3.0} for k in (1, 2)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    recipe = {"search": {"rl_weight": 0.0}, "critic": {"enable": True}, "health": {"patience": 2, "on_dead": "warn"}}
    (tmp_path / "recipe.resolved.yaml").write_text(json.dumps(recipe))
    stream = io.StringIO()
    assert main([str(tmp_path)], stream) == 0
    text = [" ".join(line.split()) for line in stream.getvalue().splitlines()]
    assert "advantage is there anything to learn from? dead since step 1 0 of 2 steps" in text
    assert "search does the search find new workflows? alive 2 of 2 steps" in text
    assert any(line.startswith("q does Q change scores and choices? off") for line in text)


def test_a_broken_recipe_in_the_run_directory_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_steps(tmp_path, 1)
    (tmp_path / "recipe.resolved.yaml").write_text("a: [")
    assert main([str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "recipe.resolved.yaml can't be read" in line


def test_another_directory_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert str(tmp_path) in line
