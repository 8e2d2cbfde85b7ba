"""ScEnsemble: the most consistent of several solutions (self-consistency, arXiv 2203.11171)."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import Any

from aflow_verl.errors import InvalidAction
from aflow_verl.operators.base import Operator, user
from aflow_verl.operators.replies import LETTERS, read_letter

_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_ASKS_FOR_NUMBER = re.compile(
    r"how (?:many|much)|\bcount\b|calculate|compute|arithmetic|divisor|multipl|\bsum\b|\bproduct\b|number of|=\s*$",
    re.I,
)
_CODE = re.compile(r"^\s*(?:def|class|import|from|return)\b|```", re.M)


class ScEnsemble(Operator):
    """Where more than half of the solutions agree, that one is returned without a model call.

    Otherwise the model picks a letter; an invalid letter is counted and the largest group's first solution returned.
    """

    name = "ScEnsemble"
    description = "Chooses the solution that is most consistent among several."
    interface = "sc_ensemble(solutions: list[str], problem: str) -> dict with key 'response' of type str"

    async def run(self, solutions: Sequence[Any], problem: str = "") -> dict[str, Any]:
        texts = [str(solution) for solution in checked_solutions(self.name, solutions)]
        keys = [agreement_key(text, str(problem)) for text in texts]
        winner, votes = Counter(keys).most_common(1)[0]
        if 2 * votes > len(texts):
            return {"response": solutions[keys.index(winner)]}
        index = await self._ask(texts[: len(LETTERS)], str(problem))
        if index is None:
            self._count("letter")
            index = keys.index(winner)
        return {"response": solutions[index]}

    async def _ask(self, texts: Sequence[str], problem: str) -> int | None:
        """Index of the solution that the model picks; None for a reply that names none, or several."""
        options = "\n".join(f"{letter}: {text}" for letter, text in zip(LETTERS, texts, strict=False))
        question = f"{problem}\n\n{options}\n\nWhich answer agrees best with the others? Reply with its letter only."
        return read_letter(await self._model([user(question)]), len(texts))


def checked_solutions(operator: str, solutions: Any) -> Sequence[Any]:
    """The solutions, if they are a list with something in it. Raises InvalidAction (``operator_arguments``)."""
    if isinstance(solutions, str) or not isinstance(solutions, Sequence) or not solutions:
        raise InvalidAction("operator_arguments", f"{operator}: solutions must be a list with at least one text")
    return solutions


def agreement_key(solution: str, problem: str) -> str:
    """Two solutions agree if their keys are equal.

    Where the problem asks for a number the key is the last number of the solution (commas dropped, ``2.0`` is ``2``);
    otherwise, and for code, it is the text without case, outer punctuation and extra spaces.
    """
    numbers = _NUMBER.findall(solution)
    if numbers and _ASKS_FOR_NUMBER.search(problem) and not _CODE.search(solution):
        number = numbers[-1].replace(",", "")
        return number.rstrip("0").rstrip(".") if "." in number else number
    return " ".join(solution.casefold().split()).strip(string.punctuation + " ")
