"""Revise: a solution, corrected as its review says."""

from __future__ import annotations

from typing import Any

from aflow_verl.operators.base import Operator, user
from aflow_verl.operators.replies import ask_for_fields, read_fields, without_fence, without_tags

_FIELDS = {"solution": "the whole corrected solution, and nothing else"}


class Revise(Operator):
    """A reply without the field is the solution as a whole; an empty one changes nothing. Both count (``fields``)."""

    name = "Revise"
    description = "Corrects a solution of the problem as the feedback says."
    interface = "revise(problem: str, solution: str, feedback: str) -> dict with key 'solution' of type str"

    async def run(self, problem: str, solution: str, feedback: str, mode: str | None = None) -> dict[str, Any]:
        """``mode`` is taken, as by AFlow, and has no effect."""
        text = f"Problem: {problem}\n\nSolution: {solution}\n\nFeedback: {feedback}"
        reply = await self._model([user(f"{text}\n\nCorrect the solution.\n\n{ask_for_fields(_FIELDS)}")])
        fields = read_fields(reply, list(_FIELDS))
        if "solution" not in fields:
            self._count("fields")
        revised = fields.get("solution", without_tags(reply, list(_FIELDS)))
        return {"solution": without_fence(revised) or str(solution)}
