"""The program that holds the answer. It sees the arguments of each call and no test, and has no verdict to give."""

from __future__ import annotations

import io
import sys
from typing import Any

from aflow_verl.benchmarks.judge.peer import Peer, Send
from aflow_verl.benchmarks.judge.solution import solution


class _Nowhere(io.TextIOBase):
    """Takes what an answer prints."""

    def write(self, text: str) -> int:
        return len(text)


def serve(send: Send, reply: str, names: list[str], prelude: str, opening: str) -> None:
    """Run the program in ``reply`` and do what the examiner asks of it. Ends only with the process, or by an exception.

    ``prelude``: definitions that its names may use. Raises NameError where it doesn't define its entry point.
    """
    program = solution(reply, names, opening)
    namespace: dict[str, Any] = {"__name__": "solution"}
    exec(compile(prelude, "prelude", "exec"), namespace)
    sys.stdout = _Nowhere()
    exec(compile(program, "solution", "exec"), namespace)
    if names[0] not in namespace:
        raise NameError(f"the answer doesn't define {names[0]}")
    Peer(send, namespace).serve()
