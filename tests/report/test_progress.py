from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from aflow_verl.config import HealthConfig
from aflow_verl.health import HealthMonitor
from aflow_verl.report.progress import Progress


class FakeTerminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def clock_of(*times: float) -> Iterator[float]:
    yield from times
    while True:
        yield times[-1]


def test_plain_output_is_one_line_an_event() -> None:
    stream, times = io.StringIO(), clock_of(0.0, 1.0, 3.5, 3.5, 10.0, 11.0)
    with Progress(stream, total_steps=2, clock=lambda: next(times)) as progress:
        progress.note("run: runs/x [y]")
        progress.phase("starting Ray")
        progress.phase("starting Ray")
        progress.phase("loading policy and critic")
        progress.activity("generation")
        progress.activity("update")
        progress.step({"step": 1, "search/best_score": 0.5})
        progress.step({"step": 2})
    lines = stream.getvalue().splitlines()
    assert lines[0] == "run: runs/x [y]"
    assert lines[1].split() == ["starting", "Ray", "2.5", "s"]
    assert lines[2].split() == ["loading", "policy", "and", "critic", "6.5", "s"]
    assert lines[3].split()[:3] == ["step", "gen", "s"]
    assert [line.split()[0] for line in lines[4:]] == ["1/2", "2/2"]
    assert "\x1b" not in stream.getvalue()


def test_a_dead_line_is_said_once_for_each_time_that_it_dies() -> None:
    stream, rows = io.StringIO(), [0.0, 0.0, 0.0, 0.5, 0.0, 0.0]
    monitor = HealthMonitor(HealthConfig(patience=2), frozenset({"policy", "critic", "q"}))
    rest = dict.fromkeys(("search/valid_action_rate", "env/rows", "env/rows_can_gain", "search/new_workflows"), 1.0)
    with Progress(stream, health=monitor) as progress:
        for step, share in enumerate(rows, 1):
            progress.step({"step": step, "gigpo/live_rows": share, "env/truncated_prompts": 0.0, **rest})
    lines = stream.getvalue().splitlines()
    assert [line.split()[-1] for line in lines[1:3]] == ["advantage", "advantage"]
    said = [i for i, line in enumerate(lines) if line.startswith("HEALTH: advantage DEAD since step")]
    assert said == [3, 8]  # after the rows of the steps 2 and 6
    assert lines[5].split()[-1] == "ok"


def test_an_exception_names_the_phase_it_came_in() -> None:
    stream = io.StringIO()
    progress = Progress(stream)

    def fail() -> None:
        with progress:
            progress.phase("loading policy and critic")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert stream.getvalue().startswith("loading policy and critic")
    assert stream.getvalue().rstrip().endswith("stopped")


def test_a_terminal_has_a_live_line_and_keeps_the_finished_ones(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = FakeTerminal()
    with Progress(stream, total_steps=1) as progress:
        progress.phase("starting Ray")
        print("noise")
        assert progress._live is not None
        progress._live.refresh()
        progress.activity("generation")
        progress._live.refresh()
        progress.step({"step": 1})
    text = stream.getvalue()
    assert "starting Ray" in text
    assert "generation" in text
    assert "1/1" in text
    assert "noise" not in text
    assert capsys.readouterr().out == "noise\n"
