"""The dataset of a run: rows of (benchmark, problem seed, start), as the parquet files that verl reads.

Row i depends on the recipe's seed and i alone, so a longer run begins with the rows of a shorter one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from aflow_verl.config import AflowConfig, StartConfig
from aflow_verl.env.seeds import derive_seed, generator


@dataclass(frozen=True)
class DatasetRow:
    """One group of episodes."""

    index: int
    benchmark: str
    problem_seed: int
    """Draws the training problems that the row's rewards are made from."""
    start: str
    """``snapshot``, ``root`` or ``random``."""

    @classmethod
    def from_extra_info(cls, extra_info: Any) -> DatasetRow:
        """The row behind the ``extra_info`` that verl hands on."""
        return cls(
            index=int(extra_info["index"]),
            benchmark=str(extra_info["benchmark"]),
            problem_seed=int(extra_info["problem_seed"]),
            start=str(extra_info["start"]),
        )


def make_row(seed: int, benchmarks: tuple[str, ...], start: StartConfig, index: int) -> DatasetRow:
    """Row ``index``: benchmarks in turn, the start drawn from the recipe's mixture."""
    kinds = ("snapshot", "root", "random")
    weights = [start.snapshot, start.root, start.random]
    kind = str(generator(seed, "start", index).choice(kinds, p=weights))
    benchmark = benchmarks[index % len(benchmarks)]
    return DatasetRow(index, benchmark, derive_seed(seed, "problems", index), kind)


def write_dataset(path: Path, ours: AflowConfig, count: int) -> None:
    """Write ``count`` rows for verl. What verl calls the prompt is a name only: the agent loop makes the prompts."""
    names = tuple(benchmark.name for benchmark in ours.benchmark)
    rows = [make_row(ours.seed, names, ours.env.start, index) for index in range(count)]
    frame = pd.DataFrame(
        {
            "data_source": [row.benchmark for row in rows],
            "prompt": [[{"role": "user", "content": f"{row.benchmark} {row.index}"}] for row in rows],
            "ability": ["workflow"] * len(rows),
            "reward_model": [{"style": "rule", "ground_truth": ""} for _ in rows],
            "extra_info": [
                {
                    "index": row.index,
                    "benchmark": row.benchmark,
                    "problem_seed": row.problem_seed,
                    "start": row.start,
                }
                for row in rows
            ],
        }
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(path)
