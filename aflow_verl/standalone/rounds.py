"""One round on the live tree: a workflow is selected and edited, its child evaluated, and all of it backed up."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from aflow_verl.config import SearchConfig, StandaloneConfig
from aflow_verl.env.actions import Action, ActionFormat, Context, Offer
from aflow_verl.env.champion import Champion, Contest
from aflow_verl.env.prompts import experience_lines
from aflow_verl.evaluation.comparison import failures, scores
from aflow_verl.search.node import Node
from aflow_verl.search.tree import Overlay, Tree
from aflow_verl.standalone.best import Best
from aflow_verl.standalone.choosing import Chooser, Chosen
from aflow_verl.standalone.expansion import UNREADABLE, Ask, Expansion, expand
from aflow_verl.standalone.history import History, RoundEntry
from aflow_verl.standalone.records import choice_line, failure_log, record_of, standard_error
from aflow_verl.types import Evaluation, Problem

if TYPE_CHECKING:  # PyTorch takes seconds to import: only who needs it
    from aflow_verl.trained.critic import TreeCritic


@dataclass(frozen=True)
class Plan:
    """The rules of a search; see ``config`` for the recipe's keys."""

    search: SearchConfig
    standalone: StandaloneConfig
    max_logs: int
    seed: int
    policy_step: int | None = None
    """Training step of the policy that edits; None for any other editor. A policy is shown a workflow's posterior mean,
    as in its training, others are shown the plain mean, as in AFlow."""


class Rounds:
    """The tree, and everything that a round needs. Any number of rounds may be played at a time."""

    def __init__(
        self,
        tree: Tree,
        history: History,
        best: Best,
        contest: Contest,
        validation: Sequence[Problem],
        actions: ActionFormat,
        ask: Ask,
        plan: Plan,
        critic: TreeCritic | None,
    ) -> None:
        """``tree`` as ``history`` resumed it; ``critic`` None is the search without Q."""
        self.tree: Overlay = tree.overlay()
        self._kept = 0
        self._history = history
        self._best = best
        self._contest = contest
        self._validation = validation
        self._actions = actions
        self._ask = ask
        self._plan = plan
        self._chooser = Chooser(self.tree, history, actions, plan.search, plan.seed, critic)

    async def play(self, number: int, *, stopped: Callable[[], bool]) -> RoundEntry | None:
        """The finished round, durable; None where nothing is left to try, or the search was ``stopped`` meanwhile."""
        chosen = await self._chooser.choose(number, stopped)
        if chosen is None:
            return None
        node_id, under_way = chosen.node_id, self._chooser.under_way
        draws = self._plan.standalone.redraws + 1
        first_draw = (self.tree[node_id].edits + under_way.edits.get(node_id, 0)) * draws
        with under_way.edit(node_id) as claims:
            parent = await self._contest.evaluate(self.tree[node_id].state, self._validation)
            node = self.tree.add_grades(node_id, scores(parent))
            self._consider(node, parent)
            expansion = await self._expand(node, parent, first_draw, claims)
            child = expansion.child
            evaluation = None if child is None else await self._contest.evaluate(child, self._validation)
        return self._back_up(number, chosen, expansion, parent, evaluation)

    async def _expand(self, node: Node, parent: Evaluation, first_draw: int, claims: set[str]) -> Expansion:
        def claim(action: Action) -> bool:
            """Whether this is new on the node; if so, it is under way from now on."""
            assert action.child is not None
            names = {action.key, action.child.hash}
            if names & (self._chooser.tried(node.id) | {node.id, *self.tree.children(node.id)}):
                return False
            self._chooser.under_way.claim(node.id, claims, names)
            return True

        offer = self._offer(node, parent)
        redraws = self._plan.standalone.redraws
        return await expand(node.state, offer, self._actions, self._ask, claim, first_draw=first_draw, redraws=redraws)

    def _offer(self, node: Node, parent: Evaluation) -> Offer:
        failed = failures(parent, self._validation, self._plan.max_logs)
        context = Context(experience_lines(self.tree, node.id), tuple(map(failure_log, failed)))
        score = node.mean if self._plan.policy_step is None else node.posterior_mean
        return self._actions.offer(replace(node.state, score=score), self._chooser.tried(node.id), context)

    def _back_up(
        self, number: int, chosen: Chosen, expansion: Expansion, parent: Evaluation, evaluation: Evaluation | None
    ) -> RoundEntry:
        """Nothing waits in here, so the next choice sees all of the round, and finds it on disk."""
        tree, node_id = self.tree, chosen.node_id
        tree.step, tree.origin = len(self._history.rounds) + 1, f"search/round {number}"
        why = expansion.why
        if evaluation is not None and evaluation.failed_everywhere:
            why, evaluation = "fails_everywhere", None
        child = self._grow(node_id, expansion, evaluation)
        entry = RoundEntry(
            number=number,
            node=node_id,
            action=expansion.action,
            child=None if child is None else child.id,
            why=why,
            score=0.0 if evaluation is None else evaluation.mean,
            error=0.0 if evaluation is None else standard_error(evaluation),
            draws=expansion.draws,
            cost_usd=0.0 if evaluation is None else evaluation.cost_usd,
            time=time.strftime("%Y-%m-%d %H:%M:%S"),
            weights_step=self._plan.policy_step,
            q=chosen.q,
            changed_by_q=chosen.choice.changed_by_q,
        )
        record = record_of(entry, parent, evaluation, child, tree.origin, tree.step)
        delta = tree.delta_since(self._kept)
        self._history.commit(entry, delta, [record], choice_line(entry, chosen.choice))
        self._kept += len(delta)
        self._chooser.learn(entry, record)
        if child is not None and evaluation is not None:
            self._consider(child, evaluation)
        return entry

    def _grow(self, node_id: str, expansion: Expansion, evaluation: Evaluation | None) -> Node | None:
        """The child in the tree; None where there is none, and then its action counts as tried."""
        child: Node | None = None
        if evaluation is not None and expansion.child is not None:
            child = self.tree.add_child(
                node_id,
                expansion.child,
                expansion.action,
                scores(evaluation),
                logprob=expansion.log_prob,
                response_ids=expansion.response_ids,
            )
        elif expansion.action != UNREADABLE:
            self.tree.mark_tried(node_id, expansion.action)
        self.tree.visit(node_id)
        return child

    def _consider(self, node: Node, evaluation: Evaluation) -> None:
        self._best.consider(Champion(node.id, node.state, evaluation))
