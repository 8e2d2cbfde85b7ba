"""The search: select -> expand -> evaluate -> back up, by N workers on one live tree.

Each round has a number, and its random choices follow from the recipe's seed and that number. With one worker a search
repeats exactly, also over kills and resumes. With several, a choice sees the rounds that have finished by then and the
edits that are under way, so it depends on what took how long; every reply and grade is kept, whatever the order.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from aflow_verl.config import SearchConfig, StandaloneConfig
from aflow_verl.env.actions import Action, ActionFormat, Context, Offer
from aflow_verl.env.champion import Champion, Contest
from aflow_verl.env.prompts import experience_lines
from aflow_verl.env.seeds import generator
from aflow_verl.errors import BudgetExhausted
from aflow_verl.evaluation.comparison import failures, scores
from aflow_verl.search.catalog import select
from aflow_verl.search.node import Node
from aflow_verl.search.selection import Choice, SearchExhausted
from aflow_verl.search.tree import Overlay, Tree
from aflow_verl.standalone.best import Best
from aflow_verl.standalone.convergence import converged
from aflow_verl.standalone.expansion import UNREADABLE, Ask, Expansion, expand
from aflow_verl.standalone.history import History, RoundEntry
from aflow_verl.standalone.records import choice_line, failure_log, record_of, standard_error
from aflow_verl.types import Evaluation, Problem


@dataclass(frozen=True)
class Plan:
    """The rules of a search; see ``config`` for the recipe's keys."""

    search: SearchConfig
    standalone: StandaloneConfig
    max_logs: int
    seed: int


class Loop:
    """One search. ``run`` it once."""

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
        *,
        on_round: Callable[[RoundEntry], None] = lambda entry: None,
        may_begin: Callable[[], bool] = lambda: True,
    ) -> None:
        """
        Args:
            tree: as ``history`` resumed it.
            best: resumed, too.
            on_round: called after each round, when it is durable.
            may_begin: asked before each round; False ends the search with the reason ``budget``.
        """
        self.tree: Overlay = tree.overlay()
        self._kept = 0
        self._history = history
        self._best = best
        self._contest = contest
        self._validation = validation
        self._actions = actions
        self._ask = ask
        self._plan = plan
        self._on_round = on_round
        self._may_begin = may_begin
        self._numbers = iter(history.next_numbers(plan.standalone.rounds))
        self._in_flight: Counter[str] = Counter()
        self._claimed: defaultdict[str, set[str]] = defaultdict(set)
        self._changed = asyncio.Event()
        self._stopped: str | None = None

    async def run(self) -> str:
        """Why it ended: ``rounds`` (all are done), ``converged``, ``exhausted`` (nothing is left to try) or ``budget``.

        Raises InfrastructureError, StorageError and UserError as soon as a round does; finished rounds are kept.
        """
        self.tree.add_grades(self.tree.root_id, scores(self._best.seed.validation))
        self._check_convergence()
        workers = [asyncio.ensure_future(self._work()) for _ in range(self._plan.standalone.workers)]
        try:
            done, _ = await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
            for worker in done:
                worker.result()
            await self._while_paid(self._best.settled())
        finally:
            self._best.cancel()
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        return self._stopped or "rounds"

    async def _work(self) -> None:
        while self._stopped is None:
            if not self._may_begin():
                self._stopped = "budget"
            elif (number := next(self._numbers, None)) is None:
                return
            else:
                await self._while_paid(self._round(number))

    async def _while_paid(self, work: Awaitable[None]) -> None:
        try:
            await work
        except BudgetExhausted:
            self._stopped = "budget"

    async def _round(self, number: int) -> None:
        choice = await self._select(number)
        if choice is None:
            return
        node_id = choice.node_id
        draws = self._plan.standalone.redraws + 1
        first_draw = (self.tree[node_id].edits + self._in_flight[node_id]) * draws
        claims: set[str] = set()
        self._in_flight[node_id] += 1
        try:
            parent = await self._contest.evaluate(self.tree[node_id].state, self._validation)
            node = self.tree.add_grades(node_id, scores(parent))
            self._consider(node, parent)
            expansion = await self._expand(node, parent, first_draw, claims)
            child = expansion.child
            evaluation = None if child is None else await self._contest.evaluate(child, self._validation)
        finally:
            self._in_flight[node_id] -= 1
            self._claimed[node_id] -= claims
            self._changed.set()
        self._back_up(number, choice, expansion, parent, evaluation)
        if self._plan.standalone.workers == 1:
            await self._best.settled()

    async def _select(self, number: int) -> Choice | None:
        """None where nothing is left to try; as long as edits are under way, they may bring something."""
        while self._stopped is None:
            try:
                return select(
                    self.tree,
                    None,
                    self._plan.search,
                    generator(self._plan.seed, "search", number),
                    expandable=self._expandable,
                    in_flight=+self._in_flight,
                )
            except SearchExhausted:
                if not self._in_flight.total():
                    self._stopped = "exhausted"
                    break
                self._changed.clear()
                await self._changed.wait()
        return None

    def _expandable(self, node_id: str) -> bool:
        return self._actions.can_expand(self.tree[node_id].state, self._tried(node_id))

    def _tried(self, node_id: str) -> frozenset[str]:
        """Actions that were tried on this node, or are under way."""
        return self.tree.tried(node_id) | self._claimed[node_id]

    async def _expand(self, node: Node, parent: Evaluation, first_draw: int, claims: set[str]) -> Expansion:
        def claim(action: Action) -> bool:
            """Whether this is new on the node; if so, it is under way from now on."""
            assert action.child is not None
            names = {action.key, action.child.hash}
            known = self._tried(node.id) | {node.id, *self.tree.children(node.id)}
            if names & known:
                return False
            claims.update(names)
            self._claimed[node.id] |= names
            return True

        offer = self._offer(node, parent)
        redraws = self._plan.standalone.redraws
        return await expand(node.state, offer, self._actions, self._ask, claim, first_draw=first_draw, redraws=redraws)

    def _offer(self, node: Node, parent: Evaluation) -> Offer:
        failed = failures(parent, self._validation, self._plan.max_logs)
        context = Context(experience_lines(self.tree, node.id), tuple(map(failure_log, failed)))
        return self._actions.offer(replace(node.state, score=node.mean), self._tried(node.id), context)

    def _back_up(
        self, number: int, choice: Choice, expansion: Expansion, parent: Evaluation, evaluation: Evaluation | None
    ) -> None:
        """Nothing waits in here, so the next choice sees all of the round, and finds it on disk."""
        tree, node_id = self.tree, choice.node_id
        tree.step, tree.origin = len(self._history.rounds) + 1, f"search/round {number}"
        why = expansion.why
        if evaluation is not None and evaluation.failed_everywhere:
            why, evaluation = "fails_everywhere", None
        child: Node | None = None
        if evaluation is not None and expansion.child is not None:
            child = tree.add_child(node_id, expansion.child, expansion.action, scores(evaluation))
        elif expansion.action != UNREADABLE:
            tree.mark_tried(node_id, expansion.action)
        tree.visit(node_id)
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
        )
        record = record_of(entry, parent, evaluation, child, tree.origin, tree.step)
        delta = tree.delta_since(self._kept)
        self._history.commit(entry, delta, [record], choice_line(entry, choice))
        self._kept += len(delta)
        if child is not None and evaluation is not None:
            self._consider(child, evaluation)
        self._on_round(entry)
        self._check_convergence()

    def _consider(self, node: Node, evaluation: Evaluation) -> None:
        self._best.consider(Champion(node.id, node.state, evaluation))

    def _check_convergence(self) -> None:
        if not self._plan.standalone.convergence:
            return
        seed, rounds = self._best.seed.validation, self._history.rounds
        means = [seed.mean, *(entry.score for entry in rounds)]
        errors = [standard_error(seed), *(entry.error for entry in rounds)]
        if converged(means, errors, self._plan.standalone.convergence_z):
            self._stopped = self._stopped or "converged"
