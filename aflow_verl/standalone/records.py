"""What a round leaves behind besides the tree."""

from __future__ import annotations

import statistics
from typing import Any

from aflow_verl.evaluation.comparison import Failure, compare
from aflow_verl.search.experience import ExperienceRecord
from aflow_verl.search.node import Node
from aflow_verl.search.selection import Choice
from aflow_verl.standalone.history import RoundEntry
from aflow_verl.types import Evaluation


def standard_error(evaluation: Evaluation) -> float:
    """Of the mean score over the problems; 0 for fewer than two."""
    given = [grade.score for grade in evaluation.grades]
    return statistics.stdev(given) / len(given) ** 0.5 if len(given) > 1 else 0.0


def failure_log(failure: Failure) -> str:
    """A problem that the workflow did not solve, as the editor reads it; never with the reference."""
    outcome = f"Error: {failure.error}" if failure.error else f"Answer: {failure.answer}"
    return f"Problem: {failure.problem}\n{outcome}\nScore: {failure.score:g}"


def record_of(
    entry: RoundEntry, parent: Evaluation, evaluation: Evaluation | None, child: Node | None, origin: str, step: int
) -> ExperienceRecord:
    """The round's experience; both evaluations are of the same problems."""
    gain = None if evaluation is None else compare(evaluation, parent)
    return ExperienceRecord(
        parent=entry.node,
        child=entry.child,
        modification=entry.action,
        before=parent.mean,
        after=None if evaluation is None else evaluation.mean,
        problems=0 if gain is None else gain.n,
        interval=None if gain is None else (gain.low, gain.high),
        operators=() if child is None else child.state.operators,
        cost_usd=entry.cost_usd,
        weights_step=entry.weights_step,
        origin=origin,
        step=step,
    )


def choice_line(entry: RoundEntry, choice: Choice) -> dict[str, Any]:
    """A line of ``choices.jsonl``."""
    return {
        "round": entry.number,
        "node": choice.node_id,
        "action": entry.action,
        "child": entry.child,
        "invalid": entry.why or None,
        "weights_step": entry.weights_step,
        "q": entry.q,
        "node_without_q": choice.node_id_without_q,
        "alpha_effective": choice.alpha_effective,
        "inherited_q": choice.inherited_q,
        "parts": list(choice.parts),
    }
