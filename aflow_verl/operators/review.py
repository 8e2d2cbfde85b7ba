"""Review: is a solution right, and if not, why."""

from __future__ import annotations

from typing import Any

from aflow_verl.operators.base import Operator, user
from aflow_verl.operators.replies import ask_for_fields, read_bool, read_fields, without_tags

_FIELDS = {"review_result": "true or false", "feedback": "what is wrong, or why it is right"}


class Review(Operator):
    """A reply without a verdict counts as malformed (``fields``): False, with the reply as feedback."""

    name = "Review"
    description = "Judges whether a solution of the problem is right (review_result) and says why (feedback)."
    interface = (
        "review(problem: str, solution: str) -> dict with key 'review_result' of type bool and key 'feedback' of type "
        "str"
    )

    async def run(self, problem: str, solution: str, mode: str | None = None) -> dict[str, Any]:
        """``mode`` is taken, as by AFlow, and has no effect."""
        request = "Check this solution critically. Call it false only if you are nearly certain that it is wrong."
        text = f"Problem: {problem}\n\nSolution: {solution}\n\n{request}\n\n{ask_for_fields(_FIELDS)}"
        reply = await self._model([user(text)])
        fields = read_fields(reply, list(_FIELDS))
        verdict = read_bool(fields.get("review_result", ""))
        if verdict is None:
            self._count("fields")
            return {"review_result": False, "feedback": without_tags(reply, list(_FIELDS))}
        return {"review_result": verdict, "feedback": fields.get("feedback", "")}
