"""A benchmark with data in two halves: what its rows mean and how an answer is graded (``Scorer``), and where the rows
come from (``file_benchmark.FileBenchmark``)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Protocol

from aflow_verl.sandbox.base import ProgramSandbox
from aflow_verl.types import Problem


class RowError(ValueError):
    """A row that is no problem of the benchmark. The message says what is wrong; the reader adds file and line."""


class Scorer(Protocol):
    """How rows of a benchmark are read and its answers graded. Holds no problems."""

    @property
    def name(self) -> str: ...

    @property
    def task(self) -> str:
        """One line shown to the policy."""
        ...

    @property
    def answer_format(self) -> str:
        """What an answer must look like to be read; shown to the policy."""
        ...

    @property
    def needs_calls(self) -> bool:
        """Whether grading needs a sandbox with ``supports_calls``."""
        ...

    @property
    def preload(self) -> tuple[str, ...]:
        """Modules that the program sandbox imports before grading; only the ``process`` backend can."""
        ...

    def parse_row(self, number: int, row: Mapping[str, Any]) -> Problem:
        """The problem in a row, ``number`` being its line. Its id depends on its content alone.

        Raises RowError.
        """
        ...

    async def grade(self, problem: Problem, answer: str, programs: ProgramSandbox) -> float:
        """As ``base.Benchmark.grade``."""
        ...


def text_field(row: Mapping[str, Any], name: str) -> str:
    """The text under ``name``. Raises RowError where there is none, or where it is empty."""
    value = row.get(name)
    if not isinstance(value, str):
        raise RowError(f"needs the text {name}")
    if not value.strip():
        raise RowError(f"{name} is empty")
    return value


def problem_id(benchmark: str, *parts: str) -> str:
    """``benchmark/digest``: the same for the same content, wherever and in whatever order it is read."""
    return f"{benchmark}/{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:12]}"
