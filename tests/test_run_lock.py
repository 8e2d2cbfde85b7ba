"""One process at a time on a run directory."""

import subprocess
import sys
from pathlib import Path

import pytest

from aflow_verl.errors import UserError
from aflow_verl.run_lock import RunLock

HOLD = """
import sys, time
from pathlib import Path
from aflow_verl.run_lock import RunLock
lock = RunLock(Path(sys.argv[1])).acquire()
print("held", flush=True)
time.sleep(60)
"""


def test_a_second_process_is_refused_until_the_first_is_dead(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(UserError, match="another run uses this directory"):
        RunLock(path).acquire()
    holder.kill()
    holder.wait()
    lock = RunLock(path).acquire(5.0)
    lock.release()
    lock.release()
    RunLock(path).acquire().release()
