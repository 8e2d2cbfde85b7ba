"""AnswerGenerate: think first, then a short answer."""

from __future__ import annotations

from typing import Any

from aflow_verl.operators.base import Operator, user
from aflow_verl.operators.replies import ask_for_fields, read_fields, without_tags

_FIELDS = {"thought": "your reasoning, step by step", "answer": "the final answer alone, short and direct"}


class AnswerGenerate(Operator):
    """Where the field ``answer`` is missing the whole reply is the answer, and counted (``fields``)."""

    name = "AnswerGenerate"
    description = "Thinks step by step about the input (thought), then answers it in short (answer)."
    interface = "answer_generate(input: str) -> dict with keys 'thought' and 'answer' of type str"

    async def run(self, input: str, mode: str | None = None) -> dict[str, Any]:
        """``mode`` is taken, as by AFlow, and has no effect."""
        question = f"Solve the problem below. Think it through before you answer.\n\n{input}"
        reply = await self._model([user(f"{question}\n\n{ask_for_fields(_FIELDS)}")])
        fields = read_fields(reply, list(_FIELDS))
        if "answer" not in fields:
            self._count("fields")
        return {
            "thought": fields.get("thought", ""),
            "answer": fields.get("answer", without_tags(reply, list(_FIELDS))),
        }
