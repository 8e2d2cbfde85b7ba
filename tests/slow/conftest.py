"""Whole runs in processes of their own: Ray, verl, a tiny random Qwen2 and the simulated executor."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aflow_verl.config import KEY_VARIABLES

RECIPE = Path(__file__).parents[1] / "recipes" / "ci_tiny.yaml"
LIMIT_SECONDS = 600


@dataclass
class WholeRun:
    """One command on one run directory."""

    process: subprocess.Popen[str]
    run_dir: Path

    def metrics(self) -> list[dict[str, Any]]:
        path = self.run_dir / "metrics.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def finish(self) -> tuple[int, str, str]:
        """(exit code, stdout, stderr) at the end; the log's tail is shown where a test fails."""
        out, err = self.process.communicate(timeout=LIMIT_SECONDS)
        if self.process.returncode != 0 and (self.run_dir / "log.txt").exists():
            print((self.run_dir / "log.txt").read_text()[-4000:])
        return self.process.returncode, out, err

    def kill_when(self, condition: Callable[[], bool]) -> None:
        """kill -9 of the whole process group as soon as the condition holds."""
        end = time.monotonic() + LIMIT_SECONDS
        while not condition():
            assert self.process.poll() is None, f"ended before it was killed: {self.process.communicate()}"
            assert time.monotonic() < end, "nothing to kill in time"
            time.sleep(0.02)
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()


@pytest.fixture
def start_run(tiny_policy: Path, tmp_path: Path) -> Iterator[Callable[..., WholeRun]]:
    """``start_run("key=value", ..., NAME="value")``: the command of a recipe, on this test's run directory, with these
    environment variables and no API keys but them."""
    started: list[WholeRun] = []

    def start(*overrides: str, **variables: str) -> WholeRun:
        run_dir = tmp_path / "run"
        command = [
            sys.executable,
            "-m",
            "aflow_verl.main_gigpo",
            str(RECIPE),
            f"actor_rollout_ref.model.path={tiny_policy}",
            "models.executor.model=ladder",
            f"run_dir={run_dir}",
            *overrides,
        ]
        # verl reads its platform from the recipe here, not from this process's tests.
        hidden = ("VERL_PLATFORM", *KEY_VARIABLES.values())
        environment = {name: value for name, value in os.environ.items() if name not in hidden} | variables
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, env=environment
        )
        started.append(WholeRun(process, run_dir))
        return started[-1]

    yield start
    for run in started:
        if run.process.poll() is None:
            os.killpg(run.process.pid, signal.SIGKILL)
