"""The example of a new benchmark runs offline, and its score is the mean of its grades."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "new_benchmark.py"


def test_a_workflow_is_graded_on_it() -> None:
    done = subprocess.run([sys.executable, str(EXAMPLE)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "nearly: Name a number, exactly or nearly. The last number counts." in done.stdout
    assert len(re.findall(r"nearly/[0-9a-f]{12}: '\d{4}' -> (?:0\.0|0\.5|1\.0)", done.stdout)) == 3
    found = re.search(r"30 validation problems: (\d\.\d{3}) \[(\d\.\d{3}), (\d\.\d{3})\]", done.stdout)
    assert found is not None
    mean, low, high = map(float, found.groups())
    assert 0.0 < low < mean < high < 1.0
