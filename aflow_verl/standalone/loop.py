"""The search: rounds played by N workers on one live tree, until there is a reason to stop.

Each round has a number, and its random choices follow from the recipe's seed and that number. With one worker a search
repeats exactly, also over kills and resumes. With several, a choice sees the rounds that have finished by then and the
edits that are under way, so it depends on what took how long; every reply and grade is kept, whatever the order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aflow_verl.errors import BudgetExhausted
from aflow_verl.search.tree import Overlay
from aflow_verl.standalone.challenges import Challenges
from aflow_verl.standalone.convergence import converged
from aflow_verl.standalone.history import History, RoundEntry
from aflow_verl.standalone.rounds import Plan, Rounds
from aflow_verl.standalone.scores import error_of, score_of

GOOD_COPY_ROUNDS = 5
"""At the start and after so many rounds the store is copied. A damaged file takes back at most as many rounds, and what
was paid in them is kept."""


class Loop:
    """One search. ``run`` it once."""

    def __init__(
        self,
        rounds: Rounds,
        history: History,
        challenges: Challenges,
        plan: Plan,
        *,
        on_round: Callable[[RoundEntry], None] = lambda entry: None,
        may_begin: Callable[[], bool] = lambda: True,
    ) -> None:
        """
        Args:
            challenges: of a best workflow that was resumed, as ``history`` was.
            on_round: called after each round, when it is durable.
            may_begin: asked before each round; False ends the search with the reason ``budget``.
        """
        self._rounds = rounds
        self._history = history
        self._challenges = challenges
        self._plan = plan
        self._on_round = on_round
        self._may_begin = may_begin
        self._numbers = iter(history.next_numbers(plan.standalone.rounds))
        self._stopped: str | None = None

    @property
    def tree(self) -> Overlay:
        """As it is now."""
        return self._rounds.tree

    async def run(self) -> str:
        """Why it ended: ``rounds`` (all are done), ``converged``, ``exhausted`` (nothing is left to try) or ``budget``.

        Raises InfrastructureError, StorageError and UserError as soon as a round does; finished rounds are kept.
        """
        await self._history.keep_good_copy()
        self._check_convergence()
        workers = [asyncio.ensure_future(self._work()) for _ in range(self._plan.standalone.workers)]
        try:
            done, _ = await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
            for worker in done:
                worker.result()
            await self._while_paid(self._challenges.finish())
        finally:
            self._challenges.cancel()
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
        entry = await self._rounds.play(number, stopped=lambda: self._stopped is not None)
        if entry is None:
            self._stopped = self._stopped or "exhausted"
            return
        self._on_round(entry)
        self._check_convergence()
        if len(self._history.rounds) % GOOD_COPY_ROUNDS == 0:
            await self._history.keep_good_copy()
        self._challenges.begin()
        if self._plan.standalone.workers == 1:
            await self._challenges.settled()

    def _check_convergence(self) -> None:
        if not self._plan.standalone.convergence:
            return
        seed_id, rounds = self.tree.root_id, self._history.rounds
        means = [score_of(self.tree, seed_id), *(entry.score for entry in rounds)]
        errors = [error_of(self.tree, seed_id), *(entry.error for entry in rounds)]
        if converged(means, errors, self._plan.standalone.convergence_z):
            self._stopped = self._stopped or "converged"
