"""Names in a recipe that a catalog knows: whoever adds one to a catalog has nothing to change here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from aflow_verl.benchmarks.catalog import BENCHMARKS, SCORERS
from aflow_verl.config import AflowConfig
from aflow_verl.env.factory import FORMATS
from aflow_verl.errors import RecipeError
from aflow_verl.models.catalog import KINDS
from aflow_verl.schema import Locate, suggestion
from aflow_verl.search.catalog import SELECTORS


def known_names(ours: AflowConfig, locate: Locate) -> AflowConfig:
    """The recipe itself. Raises ``RecipeError`` for a name that its catalog lacks, with the nearest one that it has."""
    for key, name, known in _names(ours):
        if name not in known:
            listed = ", ".join(known)
            raise RecipeError(f"{locate(key)}: {key}: {name!r} is not one of {listed}{suggestion(name, known)}")
    return ours


def _names(ours: AflowConfig) -> Iterator[tuple[str, str, Iterable[str]]]:
    benchmarks = [*BENCHMARKS, *SCORERS]
    for k, benchmark in enumerate(ours.benchmark):
        yield ("benchmark.name" if len(ours.benchmark) == 1 else f"benchmark[{k}].name"), benchmark.name, benchmarks
    yield "env.action_format", ours.env.action_format, list(FORMATS)
    yield "search.selector", ours.search.selector, list(SELECTORS)
    yield "models.executor.kind", ours.models.executor.kind, list(KINDS)
    yield "models.editor.kind", ours.models.editor.kind, list(KINDS)
