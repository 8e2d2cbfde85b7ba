"""The file that a study can be repeated from: version, plan, families, arms, and every search's trace."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from aflow_verl.study.runner import Outcome, Plan

FORMAT = 1
"""Of the file."""
DIGITS = 6


def write_record(path: Path, plan: Plan, outcomes: Sequence[Outcome]) -> None:
    """Write everything that the tables follow from, and how to make it again."""
    path.write_text(json.dumps(record_of(plan, outcomes), indent=1) + "\n", encoding="utf-8")


def record_of(plan: Plan, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """JSON-able form. A trace holds the costs at which the delivered workflow changed and its true score from then."""
    catalog = plan.catalog()
    return {
        "format": FORMAT,
        "version": _version(),
        "plan": {**asdict(plan), "arms": [arm.name for arm in plan.arms]},
        "families": {name: asdict(family) for name, family in catalog.families.items()},
        "arms": {arm.name: asdict(arm) for arm in plan.arms},
        "searches": [
            {
                "family": outcome.family,
                "seed": outcome.seed,
                "arm": outcome.arm,
                "start": outcome.start,
                "optimum": round(outcome.optimum, DIGITS),
                "edits": outcome.trace.edits,
                "spent": round(outcome.trace.spent, DIGITS),
                "changed_by_q": outcome.trace.changed_by_q,
                "costs": [round(cost, DIGITS) for cost in outcome.trace.costs],
                "scores": [round(score, DIGITS) for score in outcome.trace.scores],
            }
            for outcome in outcomes
        ],
    }


def _version() -> str:
    try:
        return version("aflow-verl")
    except PackageNotFoundError:
        return "source"
