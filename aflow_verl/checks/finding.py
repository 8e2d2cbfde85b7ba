"""What a check reports."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from aflow_verl.checks.machine import Machine
from aflow_verl.recipe.load import Recipe


@dataclass(frozen=True)
class Finding:
    """One complaint or remark about one key."""

    kind: Literal["error", "missing", "warning", "note"]
    """``error``: the recipe is wrong; ``missing``: this machine lacks something; ``warning``: it runs, and a part of it
    is dead; ``note``: only worth knowing."""
    key: str
    """The dotted key to change, or the one that asked for what is missing."""
    what: str
    todo: str = ""
    lacks: str = ""
    """``missing`` only: the thing in a few words, for a list of several."""
    effect: str = ""
    """``warning`` only: what will not happen, or happen in vain."""

    def line(self, recipe: Recipe) -> str:
        """What, where in which file, what to do; a warning begins with what it means."""
        if self.kind == "warning":
            return f"{self.effect}: {self.key} {self.what} ({recipe.locate(self.key)}); {self.todo}"
        return f"{recipe.locate(self.key)}: {self.key}: {self.what}" + (f"; {self.todo}" if self.todo else "")


Check = Callable[[Recipe, Machine], Iterator[Finding]]
"""A check yields nothing where all is well. Checks do not depend on one another."""


def error(key: str, what: str, todo: str) -> Finding:
    """A value, or a combination of values, that can't be honoured."""
    return Finding("error", key, what, todo)


def missing(key: str, what: str, todo: str, lacks: str) -> Finding:
    """A recipe that is right, on a machine that can't run it."""
    return Finding("missing", key, what, todo, lacks)


def warning(key: str, effect: str, what: str, todo: str) -> Finding:
    """A recipe that runs, and by which something is dead: never trained, never used, or never more than luck.

    The line reads ``effect: key what (where); todo``.
    """
    return Finding("warning", key, what, todo, effect=effect)


def note(key: str, what: str) -> Finding:
    """A remark; the recipe passes."""
    return Finding("note", key, what)
