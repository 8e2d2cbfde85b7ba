"""``WorkflowEnv``: one episode of editing workflows, as a policy sees it.

An episode is T edits on a private overlay of the tree of one workflow. A step: the selector picks the workflow or one
that the episode made of it, the policy is shown it and replies, the reply makes a child or is invalid, the child is
graded on the row's fixed problems, the visit is backed up, and the reward is the paired gain of the child over its
parent. Nothing here knows verl, Ray or a tokenizer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aflow_verl.config import SearchConfig
from aflow_verl.env.actions import ActionFormat
from aflow_verl.env.episode import Episode, EpisodeStart, Observation, Transition
from aflow_verl.env.prompts import failure_lines, show
from aflow_verl.env.reward import episode_return, step_reward
from aflow_verl.env.seeds import generator
from aflow_verl.env.step import Edit, back_up, judged, read
from aflow_verl.errors import InvalidAction
from aflow_verl.search.catalog import selector_named
from aflow_verl.search.selection import Choice, SearchExhausted, select
from aflow_verl.search.view import TreeView
from aflow_verl.types import Evaluation
from aflow_verl.workflow.state import WorkflowState

Evaluate = Callable[[WorkflowState], Awaitable[Evaluation]]
"""Grades a workflow on the row's problems. InvalidAction: it can't run, and was not paid for. InfrastructureError ends
the episode: it is reported, never scored."""


Value = Callable[[TreeView, Sequence[str]], Awaitable[Mapping[str, float]]]
"""Asks the critic for the promises of nodes of a tree. InfrastructureError ends the episode, as above."""


@dataclass(frozen=True)
class EnvSettings:
    """The rules of an episode; see ``config`` for the recipe's keys."""

    steps: int
    invalid_penalty: float
    anchor: str
    """``state`` or ``state_and_steps_left``."""
    max_logs: int


class WorkflowEnv:
    """One episode. Call ``observe``, then ``step`` with the reply, until ``done``."""

    def __init__(
        self,
        start: EpisodeStart,
        session: int,
        settings: EnvSettings,
        search: SearchConfig,
        actions: ActionFormat,
        evaluate: Evaluate,
        seed: int,
        value: Value | None = None,
    ) -> None:
        """
        Args:
            seed: the recipe's; the episode's choices derive from it, the step, the row, the session and t.
            value: asked before a choice for nodes that the snapshot has no promise of; None: they inherit one.
        """
        self._start = start
        self._session = session
        self._settings = settings
        self._search = search
        self._selector = selector_named(search.selector)
        self._actions = actions
        self._evaluate = evaluate
        self._seed = seed
        self._value = value
        self._q = start.q
        self._asked = {problem.id: problem.prompt for problem in start.problems}
        self._tree = start.tree.overlay(step=start.step, origin=f"step{start.step}/row{start.row}/session{session}")
        self._graded: dict[str, Evaluation] = {start.tree.root_id: start.graded}
        self._made_at: dict[str, int] = {}
        self._observations: list[Observation] = []
        self._transitions: list[Transition] = []
        self._choices: list[dict[str, Any]] = []
        self._stopped = False

    @property
    def tree(self) -> TreeView:
        """The workflow that the episode edits, and what it has made of it so far."""
        return self._tree

    @property
    def done(self) -> bool:
        return self._stopped or len(self._transitions) >= self._settings.steps

    async def observe(self) -> Observation:
        """Select the workflow to edit and show it."""
        await self._score_new_nodes()
        node = self._tree[self._choose().node_id]
        at_start = node.id == self._start.tree.root_id
        shown = self._tree.x(node.id)
        offer = show(
            self._actions,
            node,
            shown,
            self._tree.tried(node.id),
            self._start.experience if at_start else (),
            self._start.lessons,
        )
        observation = Observation(
            node_id=node.id,
            messages=offer.messages,
            replies=offer.replies,
            anchor=self._anchor(node.id),
            parent_step=self._made_at.get(node.id, -1),
            shown=shown,
            shorter=offer.shorter,
        )
        self._observations.append(observation)
        return observation

    async def step(self, reply: str, *, log_prob: float | None) -> Transition:
        """Take the policy's reply to the last observation.

        Args:
            log_prob: length-normalised log-probability of the reply; the prior of the child it makes.
        """
        node = self._tree[self._observations[-1].node_id]
        edit = await read(self._actions, node.state, reply)
        evaluation = None
        if edit.child is not None:
            try:
                evaluation = await self._evaluate(edit.child)
            except InvalidAction as failure:
                edit = Edit(edit.action, None, failure.kind)
        edit = judged(edit, evaluation)
        failures = () if evaluation is None else failure_lines(evaluation, self._asked, self._settings.max_logs)
        child = back_up(
            self._tree,
            node.id,
            edit,
            evaluation,
            weights=self._start.weights,
            failures=failures,
            logprob=log_prob,
        )
        self._stopped = edit.stops
        reward = 0.0 if edit.invalid is None else -self._settings.invalid_penalty
        if child is not None and evaluation is not None:
            reward = step_reward(evaluation, self._graded[node.id], self._start.weights)
            self._graded.setdefault(child.id, evaluation)
            self._made_at.setdefault(child.id, len(self._transitions))
        transition = Transition(reward, None if child is None else child.id, edit.invalid)
        self._transitions.append(transition)
        self._choices[-1] |= {
            "action": edit.action,
            "child": transition.child_id,
            "reward": reward,
            "invalid": edit.invalid,
        }
        return transition

    async def _score_new_nodes(self) -> None:
        """Give every workflow a promise of its own, once; before the first export there is no critic to ask."""
        if self._value is None or self._q is None:
            return
        values = self._q.values
        lacking = [node_id for node_id in self._tree.new_ids() if node_id not in values]
        if lacking:
            self._q = self._q.extended(await self._value(self._tree, lacking))

    def _choose(self) -> Choice:
        start, t = self._start, len(self._transitions)
        rng = generator(self._seed, "select", start.step, start.row, self._session, t)
        try:
            choice = select(self._tree, self._q, self._search, self._selector, rng, expandable=self._expandable)
        except SearchExhausted:  # only stopping is left, and a row that says so is worth learning from
            choice = select(self._tree, self._q, self._search, self._selector, rng)
        place = {"benchmark": start.benchmark, "row": start.row, "start": start.start, "session": self._session, "t": t}
        self._choices.append({"step": start.step, **place, **choice.to_json()})
        return choice

    def _expandable(self, node_id: str) -> bool:
        return self._actions.can_expand(self._tree[node_id].state, self._tree.tried(node_id))

    def _anchor(self, node_id: str) -> str:
        anchor = f"{self._start.benchmark}/{self._start.row}/{node_id}"
        if self._settings.anchor == "state":
            return anchor
        return f"{anchor}/{self._settings.steps - len(self._transitions)}"

    def episode(self) -> Episode:
        """The episode so far; an observation without a reply is no part of it."""
        start, steps = self._start, len(self._transitions)
        seen = self._observations[:steps]
        made = [evaluation for node_id, evaluation in self._graded.items() if node_id != start.tree.root_id]
        return Episode(
            benchmark=start.benchmark,
            step=start.step,
            row=start.row,
            session=self._session,
            delta=self._tree.delta(),
            episode_return=episode_return(made, start.graded, start.weights),
            edited=tuple(observation.node_id for observation in seen),
            shown=tuple(observation.shown for observation in seen),
            rewards=tuple(transition.reward for transition in self._transitions),
            invalid=tuple(transition.invalid for transition in self._transitions),
            children=tuple(transition.child_id for transition in self._transitions),
            choices=tuple(self._choices[:steps]),
        )
