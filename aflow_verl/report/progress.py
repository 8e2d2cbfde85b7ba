"""What a person sees of a run under way: the phases of start-up with their seconds, then one line a training step.

On a terminal a live line with a spinner shows what is being done now; elsewhere only the finished lines are written.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from aflow_verl.health import HealthMonitor, spoken
from aflow_verl.health import Line as HealthLine
from aflow_verl.report import steps
from aflow_verl.report.health import STYLES
from aflow_verl.report.metrics import Line

PLAIN_WIDTH = 120
"""Columns of a table where the stream is no terminal and has no width of its own."""


def console_on(stream: TextIO) -> Console:
    """A rich console that writes text as it is: no markup, no highlighting of numbers."""
    width = None if stream.isatty() else PLAIN_WIDTH
    return Console(file=stream, width=width, markup=False, highlight=False, soft_wrap=True)


class Progress:
    """Context manager around a run. All methods are cheap, and asking for the current phase again changes nothing."""

    def __init__(
        self,
        stream: TextIO,
        *,
        total_steps: int | None = None,
        health: HealthMonitor | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        """``health``: one that has seen the steps before; None shows none."""
        self.console = console_on(stream)
        self.total_steps = total_steps
        self._health = health
        self._said: set[tuple[str, int]] = set()
        self._clock = clock
        self._phase: str | None = None
        self._activity: str | None = None
        self._since = clock()
        self._header_shown = False
        self._live: Live | None = None

    def __enter__(self) -> Progress:
        if self.console.is_terminal:
            # Redirection of sys.stdout by Live would bring the log's noise back to the terminal.
            self._live = Live(
                console=self.console,
                get_renderable=self._live_line,
                refresh_per_second=4,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._finish_phase(stopped=kind is not None)
        self._activity = None
        if self._live is not None:
            self._live.stop()

    def note(self, text: str) -> None:
        """One line that stays."""
        self.console.print(Text(text))

    def phase(self, name: str) -> None:
        """A phase of start-up begins; the one before it is written with its seconds."""
        if name == self._phase:
            return
        self._finish_phase()
        self._phase, self._since = name, self._clock()

    def activity(self, name: str) -> None:
        """What a training step is doing now; only ever seen on the live line. Ends start-up."""
        if name == self._activity:
            return
        self._finish_phase()
        self._activity, self._since = name, self._clock()

    def step(self, line: Line) -> None:
        """A training step is done; ``line`` is its line of ``metrics.jsonl``."""
        self._finish_phase()
        if not self._header_shown:
            self.console.print(Text(steps.header(), style="dim"), no_wrap=True)
            self._header_shown = True
        lines = self._health.update(line["step"], line) if self._health is not None else ()
        self.console.print(Text(steps.row(line, self.total_steps, lines)), no_wrap=True)
        if self._health is not None:
            self._speak(lines, self._health.settings.patience)

    def _speak(self, lines: tuple[HealthLine, ...], patience: int) -> None:
        """Say what has been dead for so long, once for each time that it died."""
        for found in lines:
            text = spoken(found, patience)
            if text is not None and (found.name, found.since) not in self._said:
                self._said.add((found.name, found.since))
                self.console.print(Text(text, style=STYLES[found.state]))

    def _finish_phase(self, *, stopped: bool = False) -> None:
        if self._phase is None:
            return
        line = f"{self._phase:<48}{self._clock() - self._since:8.1f} s"
        self.console.print(Text(f"{line}  stopped" if stopped else line))
        self._phase = None

    def _live_line(self) -> Spinner | Text:
        doing = self._phase or self._activity
        if doing is None:
            return Text("")
        return Spinner("dots", Text(f"{doing}  {self._clock() - self._since:.0f} s", no_wrap=True))
