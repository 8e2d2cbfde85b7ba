"""ScEnsemble: the most consistent of several solutions (self-consistency, arXiv 2203.11171)."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import Any

from aflow_verl.errors import InvalidAction
from aflow_verl.operators.base import Operator, user

_LETTERS = string.ascii_uppercase
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

    async def run(self, solutions: Sequence[str], problem: str = "") -> dict[str, Any]:
        if isinstance(solutions, str) or not isinstance(solutions, Sequence) or not solutions:
            raise InvalidAction("operator_arguments", "ScEnsemble: solutions must be a list with at least one text")
        texts = [str(solution) for solution in solutions]
        keys = [agreement_key(text, str(problem)) for text in texts]
        winner, votes = Counter(keys).most_common(1)[0]
        if 2 * votes > len(texts):
            return {"response": texts[keys.index(winner)]}
        index = await self._ask(texts[: len(_LETTERS)], str(problem))
        if index is None:
            self._count("letter")
            index = keys.index(winner)
        return {"response": texts[index]}

    async def _ask(self, texts: Sequence[str], problem: str) -> int | None:
        """Index of the solution that the model picks; None for a reply that names none, or several."""
        options = "\n".join(f"{letter}: {text}" for letter, text in zip(_LETTERS, texts, strict=False))
        question = f"{problem}\n\n{options}\n\nWhich answer agrees best with the others? Reply with its letter only."
        reply = (await self._model([user(question)])).strip()
        allowed = _LETTERS[: len(texts)]
        named = set(re.findall(rf"\b[{allowed}]\b", reply))
        return allowed.index(named.pop()) if len(named) == 1 else None


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
