"""``result.json`` of a run directory: what a finished run came to."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aflow_verl.errors import UserError
from aflow_verl.health import Line

FILE_NAME = "result.json"


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over ``n`` problems with its confidence interval, in units of the score."""

    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class BenchmarkResult:
    """The seed workflow and the best one found, on one benchmark; None where nothing was graded."""

    name: str
    seed_validation: Estimate | None
    best_validation: Estimate | None
    seed_heldout: Estimate | None
    best_heldout: Estimate | None
    gain_heldout: Estimate | None
    """Best minus seed on the same held-out problems (paired)."""
    best_workflow: str
    """Directory of the best workflow."""
    best_is_seed: bool = False


@dataclass(frozen=True, slots=True)
class RunResult:
    """The end of a run."""

    recipe: str
    run_dir: str
    benchmarks: tuple[BenchmarkResult, ...]
    steps: int
    executor_calls: int
    """Calls that workflows made, cached ones included."""
    cache_hit_rate: float | None
    """Share of the calls answered from the cache; None if there were no calls."""
    seconds: float
    """Wall time of the whole run, all its sessions of work together."""
    cost_usd: float | None
    """None where a model's price is unknown."""
    rl_weight: float
    confidence: float = 0.95
    """Level of every interval."""
    notes: tuple[str, ...] = ()
    """Lines for the reader, such as ``plain AFlow-style search: search.rl_weight is 0``."""
    health: tuple[Line, ...] = ()
    """The lines of health after the last step; none for a search without training."""

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> RunResult:
        """Raises ``ValueError`` for a text that ``to_json`` did not write."""
        try:
            data = json.loads(text)
            benchmarks = tuple(_benchmark(entry) for entry in data.pop("benchmarks"))
            health = tuple(Line(**line) for line in data.pop("health", ()))
            return cls(benchmarks=benchmarks, notes=tuple(data.pop("notes", ())), health=health, **data)
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"not a result of a run: {error}") from error


def write_result(run_dir: Path, result: RunResult) -> Path:
    """Write ``result.json`` in one piece; returns its path."""
    path = run_dir / FILE_NAME
    temporary = path.with_suffix(".tmp")
    temporary.write_text(result.to_json(), encoding="utf-8")
    os.replace(temporary, path)
    return path


def read_result(run_dir: Path) -> RunResult | None:
    """The run's result; None if it has not ended yet.

    Raises:
        UserError: the file is damaged or of another version.
    """
    path = run_dir / FILE_NAME
    if not path.exists():
        return None
    try:
        return RunResult.from_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: {error}; delete it and run the recipe again with the same run_dir") from error


def _benchmark(entry: Mapping[str, Any]) -> BenchmarkResult:
    estimates = {
        key: None if entry[key] is None else Estimate(**entry[key])
        for key in ("seed_validation", "best_validation", "seed_heldout", "best_heldout", "gain_heldout")
    }
    return BenchmarkResult(**{**entry, **estimates})
