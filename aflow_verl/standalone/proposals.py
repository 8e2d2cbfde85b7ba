"""Edits that a policy has proposed and that wait to be run, oldest first (``search.screening`` chooses among them)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from aflow_verl.env.step import Edit
from aflow_verl.search.records import state_from_json, state_to_json
from aflow_verl.search.screening import Proposal


@dataclass(frozen=True, slots=True)
class Draft:
    """An edit that can be evaluated, and what was said of it before."""

    edit: Edit
    """With a child."""
    log_prob: float | None
    q: float | None
    """The critic's promise of it; None without a critic."""
    shown: float
    """The workflow's X in the prompt that the edit replies to."""


class Waiting:
    """See the top of this file. Also counts the draws on each workflow, so that each has a number of its own."""

    def __init__(self) -> None:
        self.of: dict[str, list[Proposal[Draft]]] = {}
        """Node id -> its proposals."""
        self._drawn: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Proposal[Draft]]:
        return (proposal for proposals in self.of.values() for proposal in proposals)

    def number(self, node_id: str) -> int:
        """The how-manieth draw on the workflow the next one is, from 0."""
        self._drawn[node_id] += 1
        return self._drawn[node_id] - 1

    def add(self, node_id: str, draft: Draft) -> None:
        self.of.setdefault(node_id, []).append(Proposal(node_id, draft, draft.q))

    def oldest(self, node_id: str) -> Proposal[Draft] | None:
        return next(iter(self.of.get(node_id, ())), None)

    def take(self, proposal: Proposal[Draft]) -> Draft:
        """It waits no longer."""
        self.of[proposal.node_id].remove(proposal)
        return proposal.edit

    def names(self, node_id: str) -> frozenset[str]:
        """Actions and workflows that wait at this node."""
        drafts = (proposal.edit for proposal in self.of.get(node_id, ()))
        return frozenset(name for draft in drafts for name in names_of(draft.edit))

    def to_json(self) -> dict[str, Any]:
        """JSON-able form for storage."""
        waiting = [
            {
                "node": proposal.node_id,
                "action": proposal.edit.edit.action,
                "child": state_to_json(child),
                "log_prob": proposal.edit.log_prob,
                "q": proposal.edit.q,
                "shown": proposal.edit.shown,
            }
            for proposal in self
            if (child := proposal.edit.edit.child) is not None
        ]
        return {"waiting": waiting, "drawn": dict(self._drawn)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Waiting:
        """Inverse of ``to_json``; of an empty mapping, nothing waits."""
        made = cls()
        made._drawn.update(data.get("drawn", {}))
        for kept in data.get("waiting", ()):
            edit = Edit(kept["action"], state_from_json(kept["child"]))
            made.add(kept["node"], Draft(edit, kept["log_prob"], kept["q"], kept["shown"]))
        return made


def names_of(edit: Edit) -> set[str]:
    """What tells an edit of a workflow from others: its action, and the workflow that it makes."""
    return {name for name in (edit.action, None if edit.child is None else edit.child.hash) if name is not None}
