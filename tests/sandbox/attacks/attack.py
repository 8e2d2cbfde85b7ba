"""What an attack is: a program, and how to tell that it got somewhere."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PRELUDE = """\
hits = []
def attempt(name, action, *arguments):
    try:
        found = action(*arguments)
    except BaseException as fault:
        return None
    hits.append("ESC" + "APED " + name + ": " + repr(found)[:300])
    return found
"""
"""``attempt`` notes an action that works: whatever is attempted must fail."""
ESCAPED = "ESCAPED"


@dataclass(frozen=True, slots=True)
class Attack:
    """A program that tries something. It got through if its result says ESCAPED or holds a secret of the ``World``,
    if it changed the world, or if it is against ``must_fail`` or ``survives``.
    """

    name: str
    code: str
    """Sees ``WORLD``, ``attempt`` and ``hits``, whose value is the program's unless ``own_value``. Harmless where it
    gets through: it changes canaries only, and what it uses up is bounded."""
    own_value: bool = False
    """The code ends with a value of its own."""
    must_fail: bool = False
    """The run has to end in an error."""
    survives: bool = False
    """The program goes on to its end, or to an exception: its process must not become something else."""
    seconds: float = 1.0
    beside: str | None = None
    """A program that runs at the same time in the same sandbox and must not notice."""
    gets_through: bool = False
    """Succeeds where nothing stops it: in plain CPython of this user."""
    needs_root: bool = False
    """Of those that get through: only where the user is root."""

    def program(self, world: Mapping[str, Any]) -> str:
        """The code as it is run in the sandbox."""
        head = f"WORLD = {dict(world)!r}\n{PRELUDE}"
        tail = "" if self.own_value else "\nhits\n"
        return head + textwrap.dedent(self.code) + tail
