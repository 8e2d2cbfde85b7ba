"""The records of an episode: what goes in, what each step leaves, what comes out. All of it pickles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aflow_verl.search.lessons import Lesson
from aflow_verl.search.qvalues import QSnapshot
from aflow_verl.search.records import TreeDelta
from aflow_verl.search.tree import Tree
from aflow_verl.types import Evaluation, Message, Problem


@dataclass(frozen=True)
class EpisodeStart:
    """What a dataset row means at a training step; the same for all sessions of its group.

    An episode edits one workflow and what it makes of it, so of the shared tree no more than that node travels.
    """

    benchmark: str
    task: str
    """The benchmark's one line for the policy."""
    start: str
    """``snapshot``, ``root`` or ``random``."""
    step: int
    row: int
    """Index of the dataset row."""
    tree: Tree
    """The workflow that the row edits, alone, with its X and what was tried on it."""
    q: QSnapshot | None
    """The critic's promise of that workflow, and how far it is believed."""
    centre: float
    """The score that the critic's 0 stands for."""
    problems: tuple[Problem, ...]
    """The row's problems, without their references."""
    weights: Mapping[str, float]
    """Problem id -> weight in rewards (``env.problems``)."""
    graded: Evaluation
    """The workflow on the row's problems."""
    experience: tuple[str, ...] = ()
    """What was tried on it, as lines."""
    lessons: tuple[Lesson, ...] = ()
    """What the shared tree says of kinds of edit."""


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
    shown: float
    """The score that the prompt shows."""
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
    shown: tuple[float, ...]
    """The score that each prompt showed."""
    rewards: tuple[float, ...]
    invalid: tuple[str | None, ...]
    children: tuple[str | None, ...]
    choices: tuple[dict[str, Any], ...]
    """One line of ``choices.jsonl`` for each step."""
    truncated_prompts: int = 0
    """Prompts that were over ``data.max_prompt_length`` even without failed problems, and lost their middle."""
