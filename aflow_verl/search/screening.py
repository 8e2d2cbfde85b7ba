"""Edits that were proposed and not paid for yet: the best promise is run, the others wait.

The formula of ``selection`` before anything is paid. A proposal (s, a) stands where its workflow s stands and promises
Q(s, a), so with UCB(s) the score of s without the critic

    combined(s, a) = (1 - alpha) * UCB(s) + alpha * Q_theta(s, a),    alpha = rl_weight * edit confidence

An edit in ``epsilon`` is run unscreened (the oldest proposal of the workflow that the rule chooses), so that the critic
is judged on more than its favourites. A critic without confidence changes nothing: then every edit is an unscreened
one, and nothing is asked for in advance.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from aflow_verl.config import SearchConfig
from aflow_verl.search.qvalues import QSnapshot
from aflow_verl.search.selection import Choice, weight

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Proposal(Generic[T]):
    """An edit that was not evaluated yet."""

    node_id: str
    """The workflow that it edits."""
    edit: T
    """What the editor wrote, and the workflow that it makes."""
    q: float | None
    """Q(s, a) when it was made; None where nobody can tell."""


def screens(q: QSnapshot | None, settings: SearchConfig, rng: np.random.Generator) -> bool:
    """Whether the next edit is the best of several proposals; takes one random number where the critic has a say."""
    if q is None or settings.rl_weight * q.edit_confidence <= 0.0 or settings.screen.proposals < 1:
        return False
    return bool(rng.random() >= settings.screen.epsilon)


def wanted(choice: Choice, waiting: Mapping[str, Sequence[Proposal[T]]], settings: SearchConfig) -> dict[str, int]:
    """Node id -> how many proposals it lacks: the best ``screen.nodes`` candidates are to have ``screen.proposals``."""
    best = np.argsort(-choice.score_K, kind="stable")[: settings.screen.nodes].tolist()
    lacking = {choice.field.ids[k]: settings.screen.proposals - len(waiting.get(choice.field.ids[k], ())) for k in best}
    return {node_id: count for node_id, count in lacking.items() if count > 0}


def best_proposal(
    choice: Choice, proposals: Iterable[Proposal[T]], q: QSnapshot, settings: SearchConfig, ucb_K: Sequence[float]
) -> Proposal[T] | None:
    """The proposal of the highest combined score, the oldest of equals; None for none.

    Args:
        ucb_K: scores of the choice's candidates without the critic.
    """
    ucb = dict(zip(choice.field.ids, ucb_K, strict=True))
    alpha = float(weight(settings, q.edit_confidence, 0.0))
    best: tuple[float, Proposal[T]] | None = None
    for proposal in proposals:
        if proposal.node_id not in ucb:
            continue
        own = ucb[proposal.node_id]
        combined = own if proposal.q is None else (1.0 - alpha) * own + alpha * proposal.q
        if best is None or combined > best[0]:
            best = (combined, proposal)
    return None if best is None else best[1]
