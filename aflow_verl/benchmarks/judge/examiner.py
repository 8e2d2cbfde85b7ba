"""The program that holds the tests. It runs no line of the answer: it knows plain values, and numbers of objects."""

from __future__ import annotations

from typing import Any

from aflow_verl.benchmarks.judge.peer import Broken, Peer, Remote, Send


def examine(send: Send, tests: str, names: list[str], prelude: str) -> str:
    """Why the answer fails; an empty text if it passes ``tests``, a program that raises nothing.

    ``names``: the functions and classes that the tests take from the answer, the entry point first. ``prelude``:
    definitions that the tests may use.
    """
    peer = Peer(send)
    namespace: dict[str, Any] = {"__name__": "tests"}
    exec(compile(prelude, "prelude", "exec"), namespace)
    try:
        for name in names:
            value = peer.ask("name", name)
            if isinstance(value, Remote):  # a value would be one that the answer chose
                namespace[name] = value
        exec(compile(tests, "tests", "exec"), namespace)
    except (Exception, Broken) as error:
        return peer.broken or f"{type(error).__name__}: {error}"
    return peer.broken or ""
