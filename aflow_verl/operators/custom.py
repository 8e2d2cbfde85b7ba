"""Custom: the input under an instruction, straight to the model."""

from __future__ import annotations

from typing import Any

from aflow_verl.operators.base import Operator, user


class Custom(Operator):
    """An empty reply is returned as it is, and counted."""

    name = "Custom"
    description = "Answers the input as the instruction says."
    interface = "custom(input: str, instruction: str) -> dict with key 'response' of type str"

    async def run(self, input: str, instruction: str = "") -> dict[str, Any]:
        text = f"{str(instruction).strip()}\n\n{input}" if str(instruction).strip() else str(input)
        reply = (await self._model([user(text)])).strip()
        if not reply:
            self._count("empty")
        return {"response": reply}
