"""Values as JSON, between two programs that don't trust each other.

Only plain data is built from what arrives, and only of the exact types listed here: an object that claims to equal
everything, or a list that lies about its length, is read as the plain value below it, or stays where it is and is known
by a number (``Refer``). Lists, dicts and sets keep their identity: each has a number on the wire, so that what one side
does to an argument in place can be done to the original on the other.

This module runs in both programs: it imports the standard library alone, and the rarer types only where they occur.
"""

from __future__ import annotations

import builtins
import json
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import Any

Node = Any
"""What ``json`` can write: a scalar stands for itself, anything else is a list that starts with a tag."""
Refer = Callable[[Any], Node]
"""A value that is not plain -> the node ``["held", ...]`` or ``["given", ...]`` that stands for it."""
Resolve = Callable[[list[Any]], Any]
"""Such a node -> the value that stands for it here."""


class Malformed(ValueError):
    """A text that ``write`` doesn't make."""


_SEQUENCES: dict[Any, str] = {tuple: "tuple", frozenset: "frozenset"}
_MUTABLE: dict[Any, str] = {
    **{Counter: "counter", OrderedDict: "ordereddict", defaultdict: "defaultdict", dict: "dict"},
    **{list: "list", set: "set", deque: "deque"},
}
_VIEWS: dict[Any, str] = {type({}.keys()): "keys", type({}.values()): "values", type({}.items()): "items"}
_JSON_BITS = 64
"""Longer integers travel in hexadecimal, which CPython reads in linear time and without a limit of digits."""
_TYPES = {name: kind for name, kind in vars(builtins).items() if isinstance(kind, type)}
"""The built-in types that may be passed as values, by name; exceptions included."""
_TYPE_NAMES = {kind: name for name, kind in _TYPES.items()}
_PARTS: dict[str, Callable[[Any], tuple[Any, ...]]] = {
    "builtins.complex": lambda z: (z.real, z.imag),
    "builtins.range": lambda r: (r.start, r.stop, r.step),
    "decimal.Decimal": lambda d: (str(d),),
    "fractions.Fraction": lambda f: (f.numerator, f.denominator),
    "datetime.datetime": lambda t: (t.year, t.month, t.day, t.hour, t.minute, t.second, t.microsecond),
    "datetime.date": lambda d: (d.year, d.month, d.day),
    "datetime.timedelta": lambda d: (d.days, d.seconds, d.microseconds),
}
"""Types rebuilt by a call with these arguments. Time zones are dropped."""


class Writer:
    """Writes the values of one message. ``known``: the containers that both sides number already, in order."""

    def __init__(self, refer: Refer, known: Sequence[Any] = ()) -> None:
        self._refer = refer
        self.containers: list[Any] = list(known)
        self._numbers = {id(container): number for number, container in enumerate(self.containers)}
        self._written: set[int] = set()

    def node(self, value: Any) -> Node:
        """``value`` for the wire; one that is not plain is referred to."""
        kind = type(value)
        if value is None or kind is bool or kind is str or kind is float:
            return value
        base: Any
        for base in kind.__mro__:
            if base is int:
                return _integer(value)
            if base is str or base is float:
                return base.__str__(value) if base is str else float.__float__(value)
            if base in _MUTABLE:
                return self._container(base, value)
            if base in _SEQUENCES:
                return [_SEQUENCES[base], self.nodes(base.__iter__(value))]
            if (made := self._made(base, value)) is not None:
                return made
        return self._refer(value)

    def nodes(self, values: Iterable[Any]) -> list[Node]:
        return [self.node(value) for value in values]

    def _container(self, base: Any, value: Any) -> Node:
        number = self._numbers.get(id(value))
        if number is None:
            number = self._numbers[id(value)] = len(self.containers)
            self.containers.append(value)
        if number in self._written:
            return ["same", number]
        self._written.add(number)
        if not issubclass(base, dict):
            return [_MUTABLE[base], number, self.nodes(base.__iter__(value))]
        pairs = [[self.node(key), self.node(item)] for key, item in base.items(value)]
        factory = [self.node(value.default_factory)] if base is defaultdict else []
        return [_MUTABLE[base], number, pairs, *factory]

    def _made(self, base: Any, value: Any) -> Node | None:
        if base is bytes:
            return ["bytes", bytes.hex(value)]
        if base in _VIEWS:
            return [_VIEWS[base], self.nodes(value)]
        if base is type and value in _TYPE_NAMES:
            return ["type", _TYPE_NAMES[value]]
        name = f"{base.__module__}.{base.__qualname__}"
        if name in _PARTS and _located(name) is base:
            return ["made", name, self.nodes(_PARTS[name](value))]
        if name == "numpy.generic" and type(number := value.item()) is not type(value):  # a longdouble stays one
            return self.node(number)
        return None


class Reader:
    """Reads the values of one message. ``known`` containers are given the contents that arrive for them."""

    def __init__(self, resolve: Resolve, known: Sequence[Any] = ()) -> None:
        self._resolve = resolve
        self._containers: dict[int, Any] = dict(enumerate(known))

    @property
    def containers(self) -> list[Any]:
        """Those read so far. ``Writer`` numbers them in the order in which it writes them, so this is by number."""
        return list(self._containers.values())

    def value(self, node: Node) -> Any:
        """The value of a node. Raises one of ``READ_ERRORS`` for a node that no ``Writer`` makes."""
        if not isinstance(node, list):
            return node
        tag, *rest = node
        if tag in _CONTAINERS:
            return self._container(_CONTAINERS[tag], *rest)
        if tag == "same":
            return self._containers[rest[0]]
        if tag in ("held", "given"):
            return self._resolve(node)
        return _BUILD[tag](self, *rest)

    def _container(self, kind: Any, number: int, items: list[Any], factory: Node = None) -> Any:
        container = self._containers.get(number)
        if container is None:
            container = self._containers[number] = kind()
        elif not isinstance(container, kind):
            raise Malformed(f"a {type(container).__name__} can't become a {kind.__name__}")
        if kind is defaultdict:
            container.default_factory = self.value(factory)
        # Read before the old contents go, and after the container has its number: it may contain itself.
        if issubclass(kind, dict):
            pairs = [(self.value(key), self.value(item)) for key, item in items]
            container.clear()
            for key, item in pairs:  # not update, which a Counter adds with
                container[key] = item
        else:
            values = [self.value(item) for item in items]
            container.clear()
            container.update(values) if kind is set else container.extend(values)
        return container

    def values(self, items: list[Any]) -> list[Any]:
        return [self.value(item) for item in items]


READ_ERRORS = (ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError, RecursionError)
"""What reading a text of an untrusted side may raise; ``Malformed`` is one of them."""
_CONTAINERS = {tag: kind for kind, tag in _MUTABLE.items()}
_BUILD: dict[str, Callable[..., Any]] = {
    "int": lambda _, digits: int(digits, 16),
    "tuple": lambda reader, items: tuple(reader.values(items)),
    "frozenset": lambda reader, items: frozenset(reader.values(items)),
    "bytes": lambda _, digits: bytes.fromhex(digits),
    "keys": lambda reader, items: dict.fromkeys(reader.values(items)).keys(),
    "values": lambda reader, items: dict(enumerate(reader.values(items))).values(),
    "items": lambda reader, items: dict(reader.values(items)).items(),
    "type": lambda _, name: _TYPES[name],
    "made": lambda reader, name, parts: _located(name)(*reader.values(parts)) if name in _PARTS else _refuse(name),
}


def write(message: dict[str, Node]) -> str:
    """ASCII, so that lone surrogates survive."""
    return json.dumps(message, separators=(",", ":"))


def read(text: str) -> dict[str, Node]:
    """Raises one of ``READ_ERRORS``."""
    message = json.loads(text)
    if not isinstance(message, dict):
        raise Malformed("a message is a JSON object")
    return message


def _integer(value: int) -> Node:
    plain = int.__int__(value)
    return plain if plain.bit_length() <= _JSON_BITS else ["int", hex(plain)]


def _located(name: str) -> Any:
    """The type of that name."""
    module, _, kind = name.rpartition(".")
    return getattr(import_module(module), kind)


def _refuse(name: str) -> Any:
    raise Malformed(f"no plain type: {name}")
