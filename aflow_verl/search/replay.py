"""Training rows of earlier episodes, kept for the critic: what it read, and what it was trained towards.

Kept as token ids: the prompt of a node changes as the tree below it grows, so it can't be made again later.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReplayRow:
    """One row, as the critic reads it."""

    prompt_ids: tuple[int, ...]
    response_ids: tuple[int, ...]
    """End of turn included."""
    v: float
    """The critic's target at the last prompt token (``targets.RowTarget``)."""
    q: float
    """Its target at the last trained position of the response."""


@dataclass(frozen=True, slots=True)
class ReplayKey:
    """A kept row without its tokens: its place and what it is drawn by (``sampling.Sampled``)."""

    step: int
    """The training step that made it."""
    origin: str
    """``row/session/t`` of the episode; unique within a run's step."""
    after: float | None = None
    """The child's score on the row's problems; None where the reply made no child."""
    surprise: float | None = None
    """|V - tree return|; None where there was no V."""
