"""What a round leaves behind besides the tree."""

from __future__ import annotations

from typing import Any

from aflow_verl.search.experience import ExperienceRecord
from aflow_verl.search.selection import Choice
from aflow_verl.search.view import TreeView
from aflow_verl.standalone.history import RoundEntry
from aflow_verl.statistics import paired_interval


def record_of(tree: TreeView, entry: RoundEntry, origin: str, step: int) -> ExperienceRecord:
    """The round's experience; its child is in the tree."""
    parent = tree[entry.node]
    child = None if entry.child is None else tree[entry.child]
    gain = None if child is None else paired_interval(child.grades, parent.grades)
    shared = [] if child is None else [parent.grades[problem] for problem in child.grades if problem in parent.grades]
    before = sum(shared) / len(shared) if shared else parent.mean
    return ExperienceRecord(
        parent=parent.id,
        child=entry.child,
        modification=entry.action,
        before=before,
        after=None if gain is None else before + gain.mean,
        problems=len(shared),
        interval=None if gain is None else (gain.low, gain.high),
        operators=() if child is None else child.state.operators,
        cost_usd=entry.cost_usd,
        weights_step=entry.weights_step,
        origin=origin,
        step=step,
    )


def choice_line(entry: RoundEntry, choice: Choice) -> dict[str, Any]:
    """A line of ``choices.jsonl``. ``node`` is the rule's choice; a screened edit may be of another workflow."""
    return {
        "round": entry.number,
        **choice.to_json(),
        "edited": entry.node,
        "action": entry.action,
        "child": entry.child,
        "invalid": entry.why or None,
        "screened": entry.screened,
        "edit_q": entry.q,
        "weights_step": entry.weights_step,
    }
