"""The example of a new operator runs and shows what it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "new_operator.py"


def test_the_policy_sees_it_and_a_workflow_calls_it() -> None:
    done = subprocess.run([sys.executable, str(EXAMPLE)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert (
        "- Rephrase: Says a question again in clearer words, without answering it. rephrase(problem: str)"
        in done.stdout
    )
    answers = {line.split("->")[0].strip(): line.split("->")[1].strip() for line in done.stdout.splitlines()[3:5]}
    assert answers == {"kite e count?": "1", "bees, e?": "2"}
    assert "Unusable replies: {'Rephrase/fields': 1}" in done.stdout
