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


def test_another_directory_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert str(tmp_path) in line
