"""One round on the live tree: a workflow is selected and edited, its child evaluated, and all of it backed up.

    select -> expand (ask, read, dry run) -> evaluate (in stages) -> back up

Where a trained critic has earned a say, the edit is the best of several proposals (``search.screening``).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from aflow_verl.config import SearchConfig, StandaloneConfig
from aflow_verl.env.actions import ActionFormat
from aflow_verl.env.outcomes import UNREADABLE
from aflow_verl.env.seeds import generator
from aflow_verl.env.step import back_up, judged
from aflow_verl.evaluation.best_workflow import Contest
from aflow_verl.search.screening import Proposal, best_proposal, screens, wanted
from aflow_verl.search.selectors import ucb
from aflow_verl.search.tree import Overlay, Tree
from aflow_verl.standalone.choosing import Chooser, Chosen
from aflow_verl.standalone.editing import Editing, Made
from aflow_verl.standalone.expansion import Ask
from aflow_verl.standalone.grading import Grading
from aflow_verl.standalone.history import History, RoundEntry
from aflow_verl.standalone.proposals import Draft
from aflow_verl.standalone.records import choice_line, record_of
from aflow_verl.standalone.scores import error_of, score_of
from aflow_verl.types import Evaluation, Problem
from aflow_verl.workflow.state import WorkflowState

if TYPE_CHECKING:  # PyTorch takes seconds to import: only who needs it
    from aflow_verl.trained.critic import TreeCritic


class Grader(Contest, Protocol):
    """``evaluation.bound.BenchmarkEngine``, or what stands for it in a test."""

    async def dry_run(self, workflow: WorkflowState) -> str | None: ...


@dataclass(frozen=True)
class Plan:
    """The rules of a search; see ``config`` for the recipe's keys."""

    search: SearchConfig
    standalone: StandaloneConfig
    max_logs: int
    seed: int
    policy_step: int | None = None
    """Training step of the policy that edits; None for any other editor."""


@dataclass(frozen=True)
class _Begun:
    """What a round edits."""

    chosen: Chosen
    node_id: str
    proposal: Proposal[Draft] | None
    """None: the editor is asked."""
    screened: bool
    changed_by_q: bool


class Rounds:
    """The tree, and everything that a round needs. Any number of rounds may be played at a time."""

    def __init__(
        self,
        tree: Tree,
        history: History,
        grader: Grader,
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
        self._plan = plan
        self.grading = Grading(
            self.tree,
            grader,
            validation,
            race=plan.standalone.race,
            max_logs=plan.max_logs,
            seed=plan.seed,
        )
        self._chooser = Chooser(self.tree, history, actions, plan.search, plan.seed, critic)
        self._editing = Editing(
            self.tree,
            self._chooser,
            self.grading,
            actions,
            ask,
            grader.dry_run,
            critic,
            plan.standalone,
            by_policy=plan.policy_step is not None,
        )
        self._screening = asyncio.Lock()

    async def play(self, number: int, *, stopped: Callable[[], bool]) -> RoundEntry | None:
        """The finished round, durable; None where nothing is left to try, or the search was ``stopped`` meanwhile."""
        begun = await self._begin(number, stopped)
        if begun is None:
            return None
        x = self.tree.x(begun.node_id)
        with self._chooser.under_way.edit(begun.node_id) as claims:
            if begun.proposal is None:
                made = await self._editing.make(begun.node_id, claims)
            else:
                made = self._editing.take(begun.proposal, claims)
            state = made.draft.edit.child
            evaluation = None if state is None else await self.grading.child(state, begun.node_id)
        return self._back_up(number, begun, x, made, evaluation)

    async def _begin(self, number: int, stopped: Callable[[], bool]) -> _Begun | None:
        chosen = await self._choose(number, stopped)
        if chosen is None:
            return None
        if not screens(chosen.q, self._plan.search, generator(self._plan.seed, "screen", number)):
            return self._unscreened(chosen)
        async with self._screening:  # one at a time, or each would ask for the proposals that all lack
            chosen = await self._choose(number, stopped)
            begun = None if chosen is None else await self._screened(chosen)
        if begun is None:  # no proposal was of use
            chosen = await self._choose(number, stopped)
            begun = None if chosen is None else self._unscreened(chosen)
        return begun

    async def _choose(self, number: int, stopped: Callable[[], bool]) -> Chosen | None:
        """A workflow that was graded: another one may be the choice once that has happened."""
        while True:
            chosen = await self._chooser.choose(number, stopped)
            if chosen is None or self.grading.is_known(chosen.choice.node_id):
                return chosen
            await self.grading.know(chosen.choice.node_id)

    def _unscreened(self, chosen: Chosen) -> _Begun:
        node_id = chosen.choice.node_id
        oldest = self._chooser.waiting.oldest(node_id)
        return _Begun(chosen, node_id, oldest, screened=False, changed_by_q=chosen.choice.changed_by_q)

    async def _screened(self, chosen: Chosen) -> _Begun | None:
        """The best of all proposals that wait, once those that the best workflows lack were asked for; None for none.

        UCB is that of ``selectors.ucb`` whatever the selector, because the scores of others need not be comparable
        with a promise.
        """
        choice, q, search = chosen.choice, chosen.q, self._plan.search
        assert q is not None
        await self._editing.propose(wanted(choice, self._chooser.waiting.of, search))
        scores_K = ucb(choice.field.without_q(), search, generator(0))
        best = best_proposal(choice, self._chooser.waiting, q, search, scores_K.tolist())
        if best is None:
            return None
        first = self._chooser.waiting.oldest(best.node_id)
        changed = best.node_id != choice.node_id_without_q or best is not first
        return _Begun(chosen, best.node_id, best, screened=True, changed_by_q=changed)

    def _back_up(self, number: int, begun: _Begun, x: float, made: Made, evaluation: Evaluation | None) -> RoundEntry:
        """Nothing waits in here, so the next choice sees all of the round, and finds it on disk."""
        tree, node_id, draft = self.tree, begun.node_id, made.draft
        tree.step, tree.origin = len(self._history.rounds) + 1, f"search/round {number}"
        edit = judged(draft.edit, evaluation)
        failures = () if evaluation is None else self.grading.failures(evaluation)
        child = back_up(tree, node_id, edit, evaluation, failures=failures, logprob=draft.log_prob)
        q = begun.chosen.q
        entry = RoundEntry(
            number=number,
            node=node_id,
            action=UNREADABLE if edit.action is None else edit.action,
            child=None if child is None else child.id,
            why=edit.invalid or "",
            score=0.0 if child is None else score_of(tree, child.id),
            error=0.0 if child is None else error_of(tree, child.id),
            draws=made.draws,
            cost_usd=0.0 if evaluation is None else evaluation.cost_usd,
            time=time.strftime("%Y-%m-%d %H:%M:%S"),
            weights_step=self._plan.policy_step,
            screened=begun.screened,
            changed_by_q=begun.changed_by_q,
            v=None if q is None else q.values.get(node_id),
            v_shown=x,
            q=draft.q,
            q_shown=draft.shown,
        )
        record = record_of(tree, entry, tree.origin, tree.step)
        delta = tree.delta_since(self._kept)
        line = choice_line(entry, begun.chosen.choice)
        self._history.commit(entry, delta, [record], line, self._chooser.waiting.to_json())
        self._kept += len(delta)
        return entry
