"""Format: the short answer that a long solution contains."""

from __future__ import annotations

from typing import Any

from aflow_verl.operators.base import Operator, user


class Format(Operator):
    """An empty reply leaves the solution as it is, and is counted (``empty``).

    ``response`` repeats ``solution``: graphs of AFlow's repository read the one, those of MetaGPT the other.
    """

    name = "Format"
    description = "Takes the short final answer to the problem out of a longer solution."
    interface = "format(problem: str, solution: str) -> dict with key 'solution' of type str"

    async def run(self, problem: str, solution: str, mode: str | None = None) -> dict[str, Any]:
        """``mode`` is taken, as by AFlow, and has no effect."""
        request = "Give the final answer of this solution in one or a few words, and nothing else."
        reply = (await self._model([user(f"Question: {problem}\n\nSolution: {solution}\n\n{request}")])).strip()
        if not reply:
            self._count("empty")
        return {"solution": reply or str(solution), "response": reply or str(solution)}
