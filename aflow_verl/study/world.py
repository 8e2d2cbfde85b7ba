"""A world of workflows whose truth is known: what a training step is judged by.

A workflow is a set of solved problems, an edit of some kind flips a share of them, and a policy of given odds replies.
There is no model and no executor; everything else (tree, episodes, returns, estimator) is the project's own. A world is
a table, so a researcher brings one in a file (``read_world``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from aflow_verl.env.actions import NO_CONTEXT, Action, Context, Offer
from aflow_verl.errors import InvalidAction, UserError
from aflow_verl.schema import build
from aflow_verl.types import Evaluation, Grade, Problem
from aflow_verl.workflow.state import WorkflowState

Bools = NDArray[np.bool_]

NAME = "world"
"""Of the benchmark."""
INVALID, STOP = "invalid", "stop"
"""Replies that make no workflow."""


@dataclass(frozen=True)
class EditKind:
    """Edits that are alike: each mends or breaks every problem independently with these odds."""

    name: str
    share: float
    """Of the valid edits; shares are relative to their sum."""
    fixes: float = 0.0
    """Probability that a problem which the parent failed is solved."""
    breaks: float = 0.0
    """Probability that a problem which the parent solved is failed."""

    def gain(self, accuracy: float) -> float:
        """Mean gain over a parent of this score."""
        return self.fixes * (1.0 - accuracy) - self.breaks * accuracy


DEFAULT_EDITS = (
    EditKind("cosmetic", 0.15),
    EditKind("neutral", 0.25, fixes=0.25, breaks=0.019),
    EditKind("bad", 0.20, fixes=0.20, breaks=0.060),
    EditKind("good", 0.10, fixes=0.60, breaks=0.013),
)
"""At .93 they bring 0, 0, -4.2 and +3.0 points; like public AFlow runs, most edits change little and few help."""


@dataclass(frozen=True)
class World:
    """Raises ``UserError`` for values that make no world."""

    accuracy: float = 0.93
    """Share of the problems that the seed solves."""
    edits: tuple[EditKind, ...] = field(default=DEFAULT_EDITS)
    """Must contain kinds called ``good`` and ``bad``: these are told apart."""
    invalid: float = 0.3
    """Share of replies that make no workflow."""
    stop: float = 0.04
    """Share of replies that end the episode."""
    train: int = 200
    """Problems that rewards are made from."""
    validation: int = 200
    """Problems that confirm the best workflow."""
    problems: int = 1319
    """All problems, those included; the true score is the share of them that is solved."""

    def __post_init__(self) -> None:
        names = [kind.name for kind in self.edits]
        odds = [value for kind in self.edits for value in (kind.fixes, kind.breaks)]
        for wrong, why in (
            (not 0.0 < self.accuracy < 1.0, "accuracy: between 0 and 1"),
            (not {"good", "bad"} <= set(names), "edits: needs kinds called good and bad"),
            (len(set(names)) < len(names) or {INVALID, STOP} & set(names), "edits: a name may be taken once only"),
            (min(kind.share for kind in self.edits) <= 0.0, "edits: shares must be above 0"),
            (not all(0.0 <= value <= 1.0 for value in odds), "edits: fixes and breaks go from 0 to 1"),
            (min(self.invalid, self.stop) < 0.0 or self.invalid + self.stop >= 1.0, "invalid + stop: below 1"),
            (min(self.train, self.validation) < 2, "train and validation: at least 2"),
            (self.train + self.validation > self.problems, "problems: at least those of train and validation"),
        ):
            if wrong:
                raise UserError(f"world: {why}")

    @property
    def odds(self) -> dict[str, float]:
        """Reply -> its probability."""
        valid = (1.0 - self.invalid - self.stop) / sum(kind.share for kind in self.edits)
        return {**{kind.name: kind.share * valid for kind in self.edits}, INVALID: self.invalid, STOP: self.stop}


def read_world(path: Path) -> World:
    """A world from a YAML file with the fields of ``World``. Raises ``UserError``."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as failure:
        raise UserError(f"{path}: {failure.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise UserError(f"{path}: is no YAML") from None
    return build(World, values, "", lambda key: str(path))


class Truth:
    """Every workflow that was made in a world, on all of its problems."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self._kinds = {kind.name: kind for kind in world.edits}
        self._rng = np.random.default_rng(seed)
        self._solved: dict[str, Bools] = {}
        self._made = 0
        self.root = _state("seed")
        self._solved[self.root.hash] = self._rng.random(world.problems) < world.accuracy

    @property
    def train(self) -> tuple[Problem, ...]:
        """Problems that rewards are made from."""
        return tuple(map(_problem, range(self.world.train)))

    @property
    def validation(self) -> tuple[Problem, ...]:
        """Problems that confirm the best workflow; none of ``train``."""
        return tuple(map(_problem, range(self.world.train, self.world.train + self.world.validation)))

    def score(self, node_id: str) -> float:
        """The true score of a workflow."""
        return float(self._solved[node_id].mean())

    def edit(self, state: WorkflowState, kind: str) -> tuple[str, WorkflowState]:
        """(name of the action, the workflow that a new edit of this kind makes)."""
        self._made += 1
        child = _state(f"{kind} {self._made}")
        parent, odds = self._solved[state.hash], self._kinds[kind]
        draw = self._rng.random(self.world.problems)
        self._solved[child.hash] = np.where(parent, draw >= odds.breaks, draw < odds.fixes)
        return f"{kind}:{self._made}", child

    def grade(self, state: WorkflowState, problem_ids: Iterable[str]) -> Evaluation:
        """The workflow on these problems."""
        solved = self._solved[state.hash]
        return Evaluation(tuple(Grade(name, float(solved[int(name[1:])])) for name in problem_ids))

    async def evaluate(self, workflow: WorkflowState, problems: Sequence[Problem]) -> Evaluation:
        """``grade``, as the choice of the best workflow asks for it."""
        return self.grade(workflow, (problem.id for problem in problems))


class WorldFormat:
    """The action format of a world: a reply is the name of a kind of edit, ``invalid`` or ``stop``."""

    restricted = False

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self.shown = NO_CONTEXT
        """What the last prompt told beside the workflow."""

    def offer(self, state: WorkflowState, tried: frozenset[str], context: Context = NO_CONTEXT) -> Offer:
        self.shown = context
        return Offer([{"role": "user", "content": state.code}], None)

    async def read(self, state: WorkflowState, reply: str) -> Action:
        if reply == INVALID:
            raise InvalidAction("no_fields", "the reply makes no workflow")
        if reply == STOP:
            return Action(STOP, None)
        return Action(*self._truth.edit(state, reply))

    def can_expand(self, state: WorkflowState, tried: frozenset[str]) -> bool:
        return True

    def reply_of(self, state: WorkflowState, key: str) -> str | None:
        return None


def _problem(index: int) -> Problem:
    return Problem(f"p{index}", f"problem {index}", "")


def _state(name: str) -> WorkflowState:
    return WorkflowState(NAME, f"workflow = {name!r}", "", ("Custom",))
