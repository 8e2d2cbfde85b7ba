"""Problems from files: a prepared folder, or one JSON-lines file that all splits are drawn from.

A folder holds ``validation.jsonl`` and ``test.jsonl`` (what ``aflow-verl data prepare`` writes): training and
validation problems come from the first, held-out ones from the second. Splits share no problem: rows that pose the same
text count once, and a text of the test file is never drawn from the validation file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from aflow_verl.benchmarks.base import SPLITS, Split
from aflow_verl.benchmarks.rows import Row
from aflow_verl.benchmarks.scorer import RowError, Scorer
from aflow_verl.benchmarks.sources import Source
from aflow_verl.errors import RecipeError
from aflow_verl.sandbox.base import ProgramSandbox
from aflow_verl.types import Problem


class FileBenchmark:
    """A scorer with problems drawn by seed, without replacement."""

    def __init__(self, scorer: Scorer, source: Source, sizes: Mapping[Split, int], seed: int = 0) -> None:
        """Raises ``RecipeError`` for a row that is no problem, and where there are too few."""
        self.name = scorer.name
        self.task = scorer.task
        self.answer_format = scorer.answer_format
        self.needs_calls = scorer.needs_calls
        self.preload = scorer.preload
        self._scorer = scorer
        self._problems = _draw(scorer, source, sizes, seed)

    def problems(self, split: Split) -> Sequence[Problem]:
        return self._problems[split]

    async def grade(self, problem: Problem, answer: str, programs: ProgramSandbox) -> float:
        return await self._scorer.grade(problem, answer, programs)


def parse_rows(scorer: Scorer, rows: Iterable[Row], seen: set[str] | None = None) -> list[Problem]:
    """The problems in ``rows``, without those whose text is ``seen``; their texts are added to it.

    Raises ``RecipeError`` naming file and line.
    """
    texts = set() if seen is None else seen
    places: dict[str, str] = {}
    problems: list[Problem] = []
    for row in rows:
        try:
            problem = scorer.parse_row(row.number, row.data)
        except RowError as wrong:
            raise RecipeError(f"benchmark.path: {row.place}: {wrong}") from None
        text = " ".join(problem.prompt.split())
        if text in texts:
            continue
        if problem.id in places:
            raise RecipeError(f"benchmark.path: {row.place}: {problem.id} is also the id of {places[problem.id]}")
        texts.add(text)
        places[problem.id] = row.place
        problems.append(problem)
    return problems


def _draw(scorer: Scorer, source: Source, sizes: Mapping[Split, int], seed: int) -> dict[Split, tuple[Problem, ...]]:
    """Held-out problems first, then validation: another number of training problems leaves them alone."""
    seen: set[str] = set()
    rng = np.random.default_rng(seed)
    if source.test is None:
        pools: list[tuple[Sequence[Split], list[Problem]]] = [(SPLITS, parse_rows(scorer, source.validation))]
    else:
        test = parse_rows(scorer, source.test, seen)
        pools = [(("heldout",), test), (("train", "validation"), parse_rows(scorer, source.validation, seen))]
    drawn: dict[Split, tuple[Problem, ...]] = {}
    for splits, pool in pools:
        if sum(sizes[split] for split in splits) > len(pool):
            raise RecipeError(_too_few(scorer.name, source.place, splits, sizes, len(pool)))
        order = iter(rng.permutation(len(pool)))
        for split in reversed(splits):
            drawn[split] = tuple(pool[int(next(order))] for _ in range(sizes[split]))
    return drawn


def _too_few(name: str, place: str, splits: Sequence[Split], sizes: Mapping[Split, int], found: int) -> str:
    asked = sum(sizes[split] for split in splits)
    pool = f"{found} different problems" if len(splits) == 3 else f"{found} problems for {' and '.join(splits)}"
    return f"benchmark: {name} has {pool} ({place}), and the recipe asks for {asked}; make {', '.join(splits)} smaller"
