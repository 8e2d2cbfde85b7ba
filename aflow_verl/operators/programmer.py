"""Programmer: the model writes Python, the sandbox runs it; its value is the answer, what it printed comes along."""

from __future__ import annotations

import re
from typing import Any

from aflow_verl.operators.base import Operator, assistant, user
from aflow_verl.types import Message

_EXAMPLES: tuple[Message, ...] = (
    {
        "role": "system",
        "content": "Write Python that computes the answer: one expression, or a program that defines solve().",
    },
    user('How many times does the letter "e" appear in the text: "the green tree"?'),
    assistant('"the green tree".count("e")'),
    user("Find the Greatest Common Divisor (GCD) of these numbers: 12, 18. Give only the GCD as your final answer."),
    assistant("math.gcd(12, 18)"),
    user("State the final answer to the following arithmetic problem: 7 - 2 + 30 ="),
    assistant("7 - 2 + 30"),
    user('How many times does the letter "a" appear in the text: "a banana cake on my plate"?'),
    assistant('"a banana cake on my plate".count("a")'),
)
"""Measured with SmolLM2-135M, greedy, six to eight problems a task: letter_counting .75 to 1.0, gcd, lcm and chain_sum
1.0, products .88. As turns, and in this order: in one message the model answers in prose or copies an example, and
with letter_counting not last it copies the wrong one. All calls share the examples as a prefix (230 tokens in all)."""

_FENCE = re.compile(r"```(?:python|py)?[ \t]*\n?(.*?)(?:```|\Z)", re.S)
_PRELUDE = "import math\n"
_NO_ANALYSIS = "None"
"""AFlow's default for the argument; graphs pass it on."""


class Programmer(Operator):
    """``output`` is the value of the program's last expression (or of ``solve()``), else what it printed; ``printed``
    is what it printed, whether it has a value or not.

    A failed program is shown its error and written again, ``attempts`` times in all; then both are empty, since
    partial output would pass for an answer. An empty reply counts as malformed (``empty``), a program that fails to
    the end as ``failed``.
    """

    name = "Programmer"
    description = "Writes Python for the problem, runs it and returns what it computes (output) and prints (printed)."
    interface = "programmer(problem: str, analysis: str) -> dict with keys 'code', 'output' and 'printed' of type str"

    async def run(self, problem: str, analysis: str = "None") -> dict[str, Any]:
        hint = str(analysis).strip()
        messages = [*_EXAMPLES, user(str(problem) if hint in ("", _NO_ANALYSIS) else f"{problem}\n\nAnalysis: {hint}")]
        code = ""
        for _ in range(self._attempts):
            reply = await self._model(messages)
            code = extract_code(reply)
            if not code:
                self._count("empty")
            result = await self._programs(_PRELUDE + code)
            printed = result.stdout.strip()
            output = printed if result.value is None else str(result.value)
            if output and result.error is None:
                return {"code": code, "output": output, "printed": printed}
            error = result.error or "it computed nothing"
            messages += [assistant(reply), user(f"This failed: {error}\nWrite it again. Reply with Python only.")]
        self._count("failed")
        return {"code": code, "output": "", "printed": ""}


def extract_code(reply: str) -> str:
    """The first fenced block, else the whole reply."""
    fenced = _FENCE.search(reply)
    return (fenced.group(1) if fenced else reply).strip()
