from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from aflow_verl.errors import UserError
from aflow_verl.report.result import RunResult, read_result, write_result


def test_a_result_survives_the_file(tmp_path: Path, run_result: RunResult) -> None:
    unknown = dataclasses.replace(run_result.benchmarks[0], seed_heldout=None, gain_heldout=None, best_is_seed=True)
    result = dataclasses.replace(run_result, benchmarks=(*run_result.benchmarks, unknown), cost_usd=None)
    assert read_result(tmp_path) is None
    assert write_result(tmp_path, result) == tmp_path / "result.json"
    assert read_result(tmp_path) == result
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"benchmarks": [{}]}', '{"benchmarks": [], "steps": 1}'])
def test_a_damaged_result_is_the_users_to_know(tmp_path: Path, content: str) -> None:
    (tmp_path / "result.json").write_text(content)
    with pytest.raises(UserError, match=r"result\.json"):
        read_result(tmp_path)
