"""One of two programs that call each other's functions: the examiner, or the one that holds the answer.

Every message is one text to the other side, and the next text from there is the reply, or a request that has to be met
first (a test passed a function, and the answer calls it). This module runs in both programs.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aflow_verl.benchmarks.judge.codec import READ_ERRORS, Node, Reader, Writer, read, write

Send = Callable[[str], str]
"""Sends a text and waits for the next one."""

ERRORS: dict[str, type[Exception]] = {
    name: kind
    for name, kind in vars(builtins).items()
    if isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, BaseExceptionGroup)
}
"""The exceptions that are raised again on the other side; any other becomes its nearest base here."""


class Broken(BaseException):
    """The other side answers with what no honest program sends. Not an ``Exception``: no test should catch it."""


class Remote:
    """An object of the other side. Equal to itself alone."""

    def __init__(self, peer: Peer, number: int) -> None:
        vars(self).update(_peer=peer, _number=number)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._peer.ask("call", self, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what copy and pickle look for is not there
            raise AttributeError(name)
        return self._peer.ask("get", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._peer.ask("set", self, name, value)


class RemoteIterable(Remote):
    """One that can be iterated over; every step is one message."""

    def __iter__(self) -> Any:
        return self._peer.ask("iter", self)


class RemoteIterator(RemoteIterable):
    """A generator of the other side, for one."""

    def __next__(self) -> Any:
        return self._peer.ask("next", self)


_REMOTES = {kind.__name__: kind for kind in (Remote, RemoteIterable, RemoteIterator)}


class Peer:
    """``names``: what the other side may ask for by name. Only a side that has such names lets its objects be looked
    into; of the others' objects a test holds, an answer can do no more than call or iterate over them."""

    def __init__(self, send: Send, names: Mapping[str, Any] | None = None) -> None:
        self._send = send
        self._operations = _OPERATIONS if names is None else {**_OPERATIONS, **_INSIGHT, "name": names.__getitem__}
        self._held: list[Any] = []
        self._numbers: dict[int, int] = {}
        self._given: dict[int, Remote] = {}
        self.broken: str | None = None
        """Why nothing more is asked: what the other side sent can't be read."""

    def ask(self, operation: str, *operands: Any) -> Any:
        """The value that the other side gives for it, or its exception raised again. Raises Broken."""
        if self.broken is not None:
            raise Broken(self.broken)
        writer = Writer(self._refer)
        text = write({"ask": operation, "operands": writer.nodes(operands)})
        while True:
            message, value, error = self._received(self._send(text), writer.containers)
            if error is not None:
                # Out of a function this is a fault (PEP 479); raised here it would end a loop of the test in silence.
                stray = isinstance(error, StopIteration) and operation != "next"
                raise RuntimeError("StopIteration") if stray else error
            if "ask" not in message:
                return value
            text = self.answer(message)

    def serve(self) -> None:
        """Answers requests until the sender of texts ends it."""
        text = self._send("")
        while True:
            text = self._send(self.answer(read(text)))

    def answer(self, message: dict[str, Node]) -> str:
        """The reply to a request. ``SystemExit`` and its like are not caught: they end the program."""
        reader = Reader(self._resolve)
        try:
            operands = reader.values(message["operands"])
            value = self._operations[message["ask"]](*operands)
            return self._reply("value", value, reader.containers)
        except Exception as error:
            name = next(kind.__name__ for kind in type(error).__mro__ if ERRORS.get(kind.__name__) is kind)
            return self._reply("raised", (name, error.args), reader.containers)

    def _reply(self, outcome: str, value: Any, known: Sequence[Any]) -> str:
        """The containers that were passed go back as they are now."""
        writer = Writer(self._refer, known)
        return write({outcome: writer.node(value), "changed": writer.nodes(known)})

    def _received(self, text: str, known: Sequence[Any]) -> tuple[dict[str, Node], Any, Exception | None]:
        """(message, value, exception) of a text. Once broken, always broken: a test that catches this can't pass."""
        try:
            message = read(text)
            if "ask" in message:
                return message, None, None
            return message, *self._outcome(message, Reader(self._resolve, known))
        except READ_ERRORS as error:
            self.broken = f"unreadable reply: {type(error).__name__}"
            raise Broken(self.broken) from None

    def _outcome(self, message: dict[str, Node], reader: Reader) -> tuple[Any, Exception | None]:
        outcome = "raised" if "raised" in message else "value"
        value = reader.value(message[outcome])
        reader.values(message["changed"])
        if outcome == "value":
            return value, None
        name, args = value
        return None, ERRORS[name].__new__(ERRORS[name], *args)

    def _refer(self, value: Any) -> Node:
        if isinstance(value, Remote):
            return ["given", value._number]
        number = self._numbers.setdefault(id(value), len(self._held))
        if number == len(self._held):
            self._held.append(value)
        kind = type(value)
        steps, iterates = hasattr(kind, "__next__"), hasattr(kind, "__iter__")
        return ["held", number, "RemoteIterator" if steps else "RemoteIterable" if iterates else "Remote"]

    def _resolve(self, node: list[Any]) -> Any:
        if node[0] == "given":
            return self._held[node[1]]
        _, number, kind = node
        if number not in self._given:
            self._given[number] = _REMOTES[kind](self, number)
        return self._given[number]


_OPERATIONS: dict[str, Callable[..., Any]] = {
    "call": lambda target, args, kwargs: target(*args, **kwargs),
    "iter": iter,
    "next": next,
}
_INSIGHT: dict[str, Callable[..., Any]] = {"get": getattr, "set": setattr}
