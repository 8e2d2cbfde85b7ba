"""Run in a child, because a test runner plays with the same descriptors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import ctypes, os, pathlib, subprocess, sys
from aflow_verl.report.terminal import output_to_log

print("before")
try:
    with output_to_log(pathlib.Path(sys.argv[1])) as terminal:
        print("python out")
        print("python err", file=sys.stderr)
        os.write(1, b"descriptor out\\n")
        ctypes.CDLL(None).puts(b"c out")
        subprocess.run([sys.executable, "-c", "print('child out')"], check=True)
        print("to the person", file=terminal.out)
        print("error to the person", file=terminal.err)
        if sys.argv[2] == "raise":
            raise RuntimeError("boom")
except RuntimeError:
    pass
print("after")
print("after err", file=sys.stderr)
"""


def run(log: Path, mode: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", PROGRAM, str(log), mode], capture_output=True, text=True, timeout=300)


def test_everything_but_the_terminal_goes_to_the_log_and_comes_back(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text("earlier\n")
    for mode in ("end", "raise"):
        done = run(log, mode)
        assert done.returncode == 0
        assert done.stdout.split("\n") == ["before", "to the person", "after", ""]
        assert done.stderr.split("\n") == ["error to the person", "after err", ""]
    expected = {"python out", "python err", "descriptor out", "c out", "child out"}
    lines = log.read_text().splitlines()
    assert lines[0] == "earlier"
    assert set(lines[1:]) == expected
    assert len(lines) == 1 + 2 * len(expected)
