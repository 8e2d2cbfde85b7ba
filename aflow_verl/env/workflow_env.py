"""``WorkflowEnv``: one episode of editing workflows, as a policy sees it.

An episode is T edits on a private overlay of the search tree. A step: the selector picks a node, the policy is shown
it and replies, the reply makes a child or is invalid, the child is graded on the row's fixed problems, the visit is
backed up, and the reward is the paired gain of the child over its parent. Nothing here knows verl, Ray or a tokenizer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aflow_verl.config import SearchConfig
from aflow_verl.env.actions import Action, ActionFormat, Context, Offer
from aflow_verl.env.episode import Episode, EpisodeStart, Observation, Transition
from aflow_verl.env.prompts import experience_lines
from aflow_verl.env.reward import episode_return, step_reward, tree_returns
from aflow_verl.env.seeds import generator
from aflow_verl.errors import InvalidAction
from aflow_verl.search.catalog import select
from aflow_verl.search.node import Node
from aflow_verl.search.qvalues import QValue
from aflow_verl.search.selection import Choice, SearchExhausted
from aflow_verl.search.view import TreeView
from aflow_verl.types import Evaluation, Grade
from aflow_verl.workflow.state import WorkflowState

Evaluate = Callable[[WorkflowState], Awaitable[Evaluation]]
"""Grades a workflow on the row's problems. InfrastructureError ends the episode: it is reported, never scored."""


Value = Callable[[TreeView, Sequence[str]], Awaitable[Mapping[str, QValue]]]
"""Asks the critic for the values of nodes of a tree. InfrastructureError ends the episode, as above."""


@dataclass(frozen=True)
class EnvSettings:
    """The rules of an episode; see ``config`` for the recipe's keys."""

    steps: int
    invalid_penalty: float
    gamma: float
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
            value: asked before a choice for nodes that the snapshot has no value of; None: they inherit one.
        """
        self._start = start
        self._session = session
        self._settings = settings
        self._search = search
        self._actions = actions
        self._evaluate = evaluate
        self._seed = seed
        self._value = value
        self._q = start.q
        self._tree = start.tree.overlay(step=start.step, origin=f"step{start.step}/row{start.row}/session{session}")
        self._best_at_start = start.tree.best().id
        self._made_at: dict[str, int] = {}
        self._observations: list[Observation] = []
        self._transitions: list[Transition] = []
        self._choices: list[dict[str, Any]] = []
        self._parent: Evaluation | None = None
        self._stopped = False

    @property
    def done(self) -> bool:
        return self._stopped or len(self._transitions) >= self._settings.steps

    async def observe(self) -> Observation:
        """Select the node to edit and show it; its own grades on the row's problems are there from now on."""
        scored = await self._score_new_nodes()
        choice = self._choose(scored)
        node = self._tree[choice.node_id]
        self._parent = await self._evaluate(node.state)
        node = self._tree.add_grades(node.id, _scores(self._parent))
        offer = self._offer(node, self._parent)
        observation = Observation(
            node_id=node.id,
            messages=offer.messages,
            replies=offer.replies,
            anchor=self._anchor(node),
            parent_step=self._made_at.get(node.id, -1),
            shorter=offer.shorter,
        )
        self._observations.append(observation)
        return observation

    async def step(self, reply: str, *, log_prob: float | None, response_ids: Sequence[int]) -> Transition:
        """Take the policy's reply to the last observation.

        Args:
            log_prob: length-normalised log-probability of the reply; the prior of the child it makes.
            response_ids: its tokens, end of turn included; what the critic reads for the child's Q.
        """
        node = self._tree[self._observations[-1].node_id]
        action: Action | None = None
        try:
            action = await self._actions.read(node.state, reply)
            transition = await self._apply(node, action, log_prob, tuple(response_ids))
        except InvalidAction as failure:
            if action is not None:
                self._tree.mark_tried(node.id, action.key)
            transition = Transition(-self._settings.invalid_penalty, None, failure.kind)
        if not self._stopped:
            self._tree.visit(node.id)
        self._transitions.append(transition)
        self._choices[-1] |= {
            "action": action.key if action else None,
            "child": transition.child_id,
            "reward": transition.reward,
            "invalid": transition.invalid,
        }
        return transition

    async def _apply(
        self, node: Node, action: Action, log_prob: float | None, response_ids: tuple[int, ...]
    ) -> Transition:
        if action.failure is not None:
            raise action.failure
        if action.child is None:
            self._stopped = True
            return Transition(0.0, None, None)
        if action.child.hash == node.id:
            raise InvalidAction("no_change", "the workflow is the same as before")
        evaluation = await self._evaluate(action.child)
        if evaluation.failed_everywhere:
            raise InvalidAction("fails_everywhere", str(evaluation.grades[0].error))
        assert self._parent is not None
        child = self._tree.add_child(
            node.id, action.child, action.key, _scores(evaluation), logprob=log_prob, response_ids=response_ids
        )
        self._made_at.setdefault(child.id, len(self._transitions))
        return Transition(step_reward(evaluation, self._parent), child.id, None)

    async def _score_new_nodes(self) -> int:
        """Give every node a value of its own, once; before the first export there is no critic to ask."""
        if self._value is None or self._q is None:
            return 0
        ids = self._tree.new_ids() if self._choices else [node.id for node in self._tree]
        lacking = self._q.without_value(ids)
        if lacking:
            self._q = self._q.extended(await self._value(self._tree, lacking))
        return len(lacking)

    def _choose(self, scored: int) -> Choice:
        t = len(self._transitions)
        rng = generator(self._seed, "select", self._start.step, self._start.row, self._session, t)
        try:
            choice = select(self._tree, self._q, self._search, rng, expandable=self._expandable)
        except SearchExhausted:  # only stopping is left, and a row that says so is worth learning from
            choice = select(self._tree, self._q, self._search, rng)
        self._choices.append(
            {
                "step": self._start.step,
                "benchmark": self._start.benchmark,
                "row": self._start.row,
                "start": self._start.start,
                "session": self._session,
                "t": t,
                "node": choice.node_id,
                "node_without_q": choice.node_id_without_q,
                "alpha_effective": choice.alpha_effective,
                "own_q": choice.own_q,
                "inherited_q": choice.inherited_q,
                "scored_on_demand": scored,
                "candidates": choice.candidates,
                "snapshot_candidates": choice.snapshot_candidates,
                "snapshot_own_q": choice.snapshot_own_q,
                "parts": list(choice.parts),
            }
        )
        return choice

    def _expandable(self, node_id: str) -> bool:
        return self._actions.can_expand(self._tree[node_id].state, self._tree.tried(node_id))

    def _offer(self, node: Node, evaluation: Evaluation) -> Offer:
        context = Context(experience=experience_lines(self._start.tree, node.id), logs=self._logs(evaluation))
        shown = replace(node.state, score=node.posterior_mean)
        return self._actions.offer(shown, self._tree.tried(node.id), context)

    def _logs(self, evaluation: Evaluation) -> tuple[str, ...]:
        """Failed problems of the node: what was asked and what came out, never the reference."""
        asked = {problem.id: problem.prompt for problem in self._start.problems}
        failed = [grade for grade in evaluation.grades if grade.score < 1.0]
        return tuple(_log(asked.get(grade.problem_id, ""), grade) for grade in failed[: self._settings.max_logs])

    def _anchor(self, node: Node) -> str:
        anchor = f"{self._start.benchmark}/{self._start.row}/{node.id}"
        if self._settings.anchor == "state":
            return anchor
        return f"{anchor}/{self._settings.steps - len(self._transitions)}"

    def episode(self) -> Episode:
        """The finished episode. Both best nodes are compared with all that is known of them at the end, so that grading
        the old best again is no gain."""
        rewards = [transition.reward for transition in self._transitions]
        invalid = tuple(transition.invalid for transition in self._transitions)
        return Episode(
            benchmark=self._start.benchmark,
            step=self._start.step,
            row=self._start.row,
            session=self._session,
            delta=self._tree.delta(),
            episode_return=episode_return(
                self._tree.best().posterior_mean,
                self._tree[self._best_at_start].posterior_mean,
                sum(kind is not None for kind in invalid),
                self._settings.invalid_penalty,
            ),
            edited=tuple(observation.node_id for observation in self._observations),
            rewards=tuple(rewards),
            tree_returns=tuple(
                tree_returns(rewards, [o.parent_step for o in self._observations], self._settings.gamma)
            ),
            invalid=invalid,
            children=tuple(transition.child_id for transition in self._transitions),
            choices=tuple(self._choices),
        )


def _scores(evaluation: Evaluation) -> dict[str, float]:
    return {grade.problem_id: grade.score for grade in evaluation.grades}


def _log(prompt: str, grade: Grade) -> str:
    outcome = f"Error: {grade.error}" if grade.error else f"Answer: {grade.answer}"
    return f"Problem: {prompt}\n{outcome}\nScore: {grade.score:g}"
