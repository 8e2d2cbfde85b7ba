"""GSM8K from a JSON-lines file that the user names: fields ``question`` and ``answer``.

Scoring is AFlow's rule: the last number, commas dropped, equal within 1e-6. One departure: the number of a step is no
answer, so "42 (see step 3)" is 42, where AFlow reads 3.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aflow_verl.benchmarks.answers import last_number
from aflow_verl.benchmarks.base import SPLITS, Split
from aflow_verl.errors import RecipeError
from aflow_verl.types import Problem

TOLERANCE = 1e-6
_STEP = re.compile(r"\bsteps?\s+\d+(?:\s*(?:,|and|to|-)\s*\d+)*", re.IGNORECASE)


class Gsm8k:
    """Grade-school mathematics; splits are drawn from the file by seed, without replacement."""

    name = "gsm8k"
    task = "Solve grade-school mathematics problems."
    answer_format = "The answer is a number; the last number counts."

    def __init__(self, path: Path | str | None, sizes: Mapping[Split, int], seed: int = 0) -> None:
        """Raises ``RecipeError`` for a missing, broken or too small file."""
        if path is None:
            raise RecipeError("benchmark.path: gsm8k needs a JSON-lines file with question and answer; name it")
        rows = read_rows(Path(path).expanduser())
        total = sum(sizes[split] for split in SPLITS)
        if total > len(rows):
            raise RecipeError(
                f"benchmark: {path} has {len(rows)} problems, train + validation + heldout ask for {total}"
            )
        order = iter(np.random.default_rng(seed).permutation(len(rows)))
        # Held-out problems first, so that another number of training problems leaves them alone.
        self._problems = {
            split: tuple(_problem(*rows[int(next(order))]) for _ in range(sizes[split])) for split in reversed(SPLITS)
        }

    def problems(self, split: Split) -> Sequence[Problem]:
        return self._problems[split]

    def grade(self, problem: Problem, answer: str) -> float:
        given, wanted = answer_number(answer), answer_number(problem.reference)
        if given is None or wanted is None:
            return 0.0
        return float(math.isclose(given, wanted, rel_tol=0.0, abs_tol=TOLERANCE))


def answer_number(text: str) -> float | None:
    """The last number in ``text`` that doesn't merely name a step; None where there is none."""
    number = last_number(_STEP.sub(" ", text)) or last_number(text)
    return float(number) if number is not None else None


def read_rows(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """(line number, row) of every line that is not empty. Raises ``RecipeError`` naming file and line."""
    if not path.is_file():
        raise RecipeError(f"benchmark.path: {path} does not exist; name a JSON-lines file with question and answer")
    rows: list[tuple[int, dict[str, Any]]] = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as broken:
        raise RecipeError(f"benchmark.path: {path} can't be read: {broken.strerror}") from None
    except UnicodeDecodeError as broken:
        raise RecipeError(f"benchmark.path: {path} is not UTF-8 text ({broken.reason})") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as broken:
            raise RecipeError(f"benchmark.path: {path}:{number}: not JSON ({broken.msg})") from None
        if (
            not isinstance(row, dict)
            or not isinstance(row.get("question"), str)
            or not isinstance(row.get("answer"), str)
        ):
            raise RecipeError(f"benchmark.path: {path}:{number}: needs the texts question and answer")
        if answer_number(row["answer"]) is None:
            raise RecipeError(f"benchmark.path: {path}:{number}: no number in answer")
        rows.append((number, row))
    return rows


def _problem(number: int, row: Mapping[str, Any]) -> Problem:
    digest = hashlib.sha256(f"{row['question']}\0{row['answer']}".encode()).hexdigest()[:8]
    return Problem(f"gsm8k/{number}-{digest}", row["question"], row["answer"])
