from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "search_on_cpu.py"


def test_every_selector_starts_at_the_seeds_score_and_is_listed() -> None:
    command = [sys.executable, str(EXAMPLE), "--seeds", "1", "--evaluations", "3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in done.stdout.splitlines() if "│" in line]
    assert [row[0] for row in rows] == ["ucb", "puct", "thompson", "greedy", "soft_mixed"]
    scores = [[float(cell) for cell in row[1:]] for row in rows]
    assert {len(row) for row in scores} == {4}  # k = 0, 1, 2, 3
    assert len({row[0] for row in scores}) == 1
    assert all(0.0 <= score <= 1.0 for row in scores for score in row)
