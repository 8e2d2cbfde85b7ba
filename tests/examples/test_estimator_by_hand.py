"""The example runs, agrees with itself and shows its numbers."""

import runpy
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "estimator_by_hand.py"


def test_prints_both_results_and_agrees(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    printed = capsys.readouterr().out
    assert printed.count("+0.367") == 2  # A of the first step, 0.8 / 3 + 0.1: by hand and by the library
    assert "gigpo/step_group_size" in printed
    assert "The library agrees with the pencil in every row." in printed
