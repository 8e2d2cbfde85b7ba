"""Plain data -> frozen dataclasses, with errors that say where the value stands and what would be right."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from difflib import get_close_matches
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from aflow_verl.errors import RecipeError

T = TypeVar("T")

Locate = Callable[[str], str]
"""Dotted key -> where it was set, for example ``recipes/quickstart.yaml:12``."""


def nowhere(key: str) -> str:
    """The ``Locate`` for values that come from no file."""
    return "recipe"


def build(cls: type[T], value: Any, prefix: str, locate: Locate) -> T:
    """An instance of the dataclass ``cls`` from a mapping; ``prefix`` is the mapping's own dotted key.

    Raises ``RecipeError`` for a value that is no mapping, an unknown or missing key, or a wrong type.
    """
    if not isinstance(value, Mapping):
        raise _wrong(prefix, "a mapping", value, locate)
    known = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
    for key in value:
        if key not in known:
            raise unknown_key(_join(prefix, str(key)), [_join(prefix, name) for name in known], locate)
    hints = get_type_hints(cls)
    for name, spec in known.items():
        if name not in value and spec.default is MISSING and spec.default_factory is MISSING:
            raise RecipeError(f"{locate(prefix)}: {_join(prefix, name)}: missing")
    return cls(**{key: convert(hints[key], v, _join(prefix, key), locate) for key, v in value.items()})


def convert(hint: Any, value: Any, key: str, locate: Locate) -> Any:
    """``value`` as the type ``hint``; an int is accepted for a float, a list for a tuple, nothing else is bent."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        inner = [a for a in args if a is not type(None)]
        return None if value is None else convert(inner[0], value, key, locate)
    if origin is Literal:
        if value not in args:
            raise _not_one_of(key, value, args, locate)
        return value
    if origin is tuple:
        if isinstance(value, tuple):
            return value
        if not isinstance(value, list):
            raise _wrong(key, "a list", value, locate)
        return tuple(convert(args[0], v, f"{key}[{i}]", locate) for i, v in enumerate(value))
    if is_dataclass(hint) and isinstance(hint, type):
        return value if isinstance(value, hint) else build(hint, value, key, locate)
    return _scalar(hint, value, key, locate)


def unknown_key(key: str, known: Iterable[str], locate: Locate) -> RecipeError:
    """The error for a key that nobody reads, with the nearest known sibling."""
    parent, _, name = key.rpartition(".")
    close = get_close_matches(name, [k.rpartition(".")[2] for k in known], n=1)
    hint = f"; did you mean {_join(parent, close[0])}?" if close else ""
    return RecipeError(f"{locate(key)}: {key}: unknown key{hint}")


def suggestion(word: str, known: Iterable[Any]) -> str:
    """``; did you mean X?`` for the nearest of the known words, or nothing."""
    close = get_close_matches(word, [str(k) for k in known], n=1)
    return f"; did you mean {close[0]}?" if close else ""


_SCALARS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def _scalar(hint: type, value: Any, key: str, locate: Locate) -> Any:
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        raise _wrong(key, _SCALARS[hint], value, locate)
    return value


def _wrong(key: str, expected: str, value: Any, locate: Locate) -> RecipeError:
    return RecipeError(f"{locate(key)}: {key or 'recipe'}: expected {expected}, found {value!r}")


def _not_one_of(key: str, value: Any, allowed: tuple[Any, ...], locate: Locate) -> RecipeError:
    names = ", ".join(map(str, allowed))
    return RecipeError(f"{locate(key)}: {key}: {value!r} is not one of {names}{suggestion(str(value), allowed)}")


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name
