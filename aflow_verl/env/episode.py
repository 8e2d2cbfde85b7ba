"""The records of an episode: what goes in, what each step leaves, what comes out. All of it pickles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aflow_verl.search.qvalues import QSnapshot
from aflow_verl.search.records import TreeDelta
from aflow_verl.search.tree import Tree
from aflow_verl.types import Message, Problem


@dataclass(frozen=True)
class EpisodeStart:
    """What a dataset row means at a training step; the same for all sessions of its group."""

    benchmark: str
    task: str
    """The benchmark's one line for the policy."""
    start: str
    """``snapshot``, ``root`` or ``random``."""
    step: int
    row: int
    """Index of the dataset row."""
    tree: Tree
    """The tree that the episode's private overlay stands on."""
    q: QSnapshot | None
    problems: tuple[Problem, ...]
    """The row's problems, without their references."""


@dataclass(frozen=True)
class Observation:
    """One decision to make."""

    node_id: str
    messages: list[Message]
    replies: tuple[str, ...] | None
    """Legal replies, one token each; None: free text."""
    anchor: str
    """GiGPO's anchor: equal for equal decisions of a group."""
    parent_step: int
    """The step of this episode that made the state edited here; -1 if none."""
    shorter: tuple[list[Message], ...] = ()
    """As ``actions.Offer.shorter``."""


@dataclass(frozen=True)
class Transition:
    """What a reply did."""

    reward: float
    child_id: str | None
    """None: stopped, or invalid."""
    invalid: str | None
    """Kind of the failure; None for a valid reply."""


@dataclass(frozen=True)
class Episode:
    """A finished episode, as the search keeps it."""

    benchmark: str
    step: int
    row: int
    session: int
    delta: TreeDelta
    episode_return: float
    edited: tuple[str, ...]
    """The node edited at each step."""
    rewards: tuple[float, ...]
    tree_returns: tuple[float, ...]
    invalid: tuple[str | None, ...]
    children: tuple[str | None, ...]
    choices: tuple[dict[str, Any], ...]
    """One line of ``choices.jsonl`` for each selection."""
    truncated_prompts: int = 0
    """Prompts that were over ``data.max_prompt_length`` even without failed problems, and lost their middle."""
