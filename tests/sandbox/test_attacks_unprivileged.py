"""The attack suite once more, in a process that is not root."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from attacks.table import ATTACKS, QUICK
from backends import BACKENDS

HERE = Path(__file__).parent
ATTACKS_ON_BACKENDS = HERE / "test_attacks.py"
AS_NOBODY = HERE.parent / "reference" / "as_nobody.py"

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root can become another user; others are one already"
)


def run_suite(*selection: str) -> str:
    """The end of what pytest says."""
    readable = {sys.base_prefix, sys.prefix, str(HERE.parents[1])}
    pytest_command = [sys.executable, "-B", "-m", "pytest", "-p", "no:cacheprovider", *selection]
    command = [sys.executable, str(AS_NOBODY), *readable, "--", *pytest_command]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", timeout=1200)
    if "PermissionError" in done.stderr:
        pytest.skip("the interpreter is out of reach for other users, and mounts are not allowed here")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return done.stdout.strip().splitlines()[-1]


def test_likely_attacks() -> None:
    last = run_suite(f"{ATTACKS_ON_BACKENDS}::test_likely_attack", "-k", "process and not without_mounts")
    assert last.startswith(f"{len(QUICK)} passed")


@pytest.mark.slow
def test_all_attacks() -> None:
    """Without the remote endpoint, whose programs are those of the process sandbox."""
    last = run_suite(f"{ATTACKS_ON_BACKENDS}::test_attack", "-m", "slow", "-k", "not remote-")
    assert last.startswith(f"{(len(BACKENDS) - 1) * len(ATTACKS)} passed")
