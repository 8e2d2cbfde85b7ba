"""MdEnsemble: several votes for the best solution, each on another order (Medprompt, arXiv 2311.16452)."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

from aflow_verl.errors import InvalidAction
from aflow_verl.operators.base import Operator, user
from aflow_verl.operators.replies import LETTERS, ask_for_fields, read_letter
from aflow_verl.operators.sc_ensemble import checked_solutions

MAX_VOTES = 20
_FIELDS = {"thought": "how the solutions compare", "solution_letter": "the letter of the best one"}


class MdEnsemble(Operator):
    """The orders are drawn from a seed made of the arguments, so that equal runs make equal calls.

    A vote without a valid letter is counted (``letter``) and ignored; without any vote the first solution is returned,
    and of equally many the one that was voted for first.
    """

    name = "MdEnsemble"
    description = "Has the model vote several times, over shuffled options, for the best of several solutions."
    interface = "md_ensemble(solutions: list[str], problem: str) -> dict with key 'solution' of type str"

    async def run(
        self, solutions: Sequence[Any], problem: str = "", mode: str | None = None, vote_count: int = 5
    ) -> dict[str, Any]:
        """``vote_count`` can be given to the constructor, too; ``mode`` has no effect."""
        options = checked_solutions(self.name, solutions)[: len(LETTERS)]
        if not isinstance(vote_count, int) or not 1 <= vote_count <= MAX_VOTES:
            raise InvalidAction("operator_arguments", f"MdEnsemble: vote_count must be a number from 1 to {MAX_VOTES}")
        votes: Counter[int] = Counter()
        orders = random.Random("\x1f".join(map(str, [problem, *options])))
        for _ in range(vote_count):
            order = orders.sample(range(len(options)), len(options))
            letter = await self._vote([str(options[index]) for index in order], str(problem))
            if letter is None:
                self._count("letter")
            else:
                votes[order[letter]] += 1
        return {"solution": options[votes.most_common(1)[0][0] if votes else 0]}

    async def _vote(self, texts: Sequence[str], problem: str) -> int | None:
        listed = "\n\n".join(f"{letter}: {text}" for letter, text in zip(LETTERS, texts, strict=False))
        question = f"Question: {problem}\n\nSolutions:\n\n{listed}\n\nWhich solution answers the question best?"
        return read_letter(await self._model([user(f"{question}\n\n{ask_for_fields(_FIELDS)}")]), len(texts))
