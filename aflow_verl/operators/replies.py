"""Reading model replies: named fields, letters, yes or no. What can't be read is None or left out."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence

LETTERS = string.ascii_uppercase
"""Names of the solutions that a model chooses between; further ones are not shown."""

_WHOLE_FENCE = re.compile(r"\A```[\w+-]*[ \t]*\n(.*?)\n?[ \t]*```\Z", re.S)
_YES = frozenset({"true", "yes", "correct"})
_NO = frozenset({"false", "no", "incorrect"})


def ask_for_fields(fields: Mapping[str, str]) -> str:
    """The end of a prompt whose reply ``read_fields`` reads; ``fields``: name to what belongs in it."""
    lines = "\n".join(f"<{name}>{meaning}</{name}>" for name, meaning in fields.items())
    return f"Reply with exactly these fields:\n{lines}"


def read_fields(reply: str, names: Sequence[str]) -> dict[str, str]:
    """The fields among ``names`` that have content. Without its end tag a field ends at the next one, or at the end."""
    fields: dict[str, str] = {}
    stop = "|".join(f"</?{name}>" for name in names)
    for name in names:
        found = re.search(rf"<{name}>\s*(.*?)\s*(?:{stop}|\Z)", reply, re.S | re.I)
        if found and found.group(1):
            fields[name] = found.group(1)
    return fields


def without_tags(reply: str, names: Sequence[str]) -> str:
    """The reply without the tags of these fields, for one that lacks the field that matters."""
    return re.sub("|".join(f"</?{name}>" for name in names), "", reply, flags=re.I).strip()


def without_fence(text: str) -> str:
    """What is inside, for a text that is one fenced block as a whole."""
    fenced = _WHOLE_FENCE.match(text.strip())
    return fenced.group(1) if fenced else text


def read_letter(reply: str, options: int) -> int | None:
    """Index of the option that a reply names: in its field ``solution_letter``, or as its only single letter.

    None for a reply that names none, or several.
    """
    text = read_fields(reply, ["thought", "solution_letter"]).get("solution_letter", reply).strip()
    alone = text.strip(string.punctuation + " ").upper()
    allowed = LETTERS[:options]
    named = {alone} if len(alone) == 1 else set(re.findall(rf"\b[{allowed}]\b", text))
    if len(named) != 1 or not named <= set(allowed):
        return None
    return allowed.index(named.pop())


def read_bool(text: str) -> bool | None:
    """``true``, ``yes`` or ``correct`` at the start, or the opposites; None for anything else."""
    word = re.match(r"\W*(\w+)", text)
    first = word.group(1).lower() if word else ""
    return True if first in _YES else False if first in _NO else None
