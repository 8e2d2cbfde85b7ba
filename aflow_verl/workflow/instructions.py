"""The built-in instruction library of the ``edit`` action format: what a ``Custom`` step can be told to do.

The texts are short because the smallest executor they are for has 135M parameters; ``direct`` is no instruction at
all, as in AFlow's seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aflow_verl.errors import RecipeError

LIBRARY: Mapping[str, str] = {
    "direct": "",
    "step_by_step": "Think step by step. End with the answer.",
    "answer_only": "Reply with the answer only.",
    "list_items": "Write out the items one by one, then answer.",
    "check": "Check the draft answer and correct it. Reply with the answer only.",
}

FIRST_STEP_ONLY = frozenset({"direct"})
"""Pointless after another step: it would repeat it."""
LATER_STEPS_ONLY = frozenset({"check"})
"""Needs the draft answer of an earlier step."""


def select_instructions(names: Sequence[str]) -> dict[str, str]:
    """The part of the library that a recipe names, in its order; all of it for no names. ``direct`` is always there."""
    unknown = [name for name in names if name not in LIBRARY]
    if unknown:
        raise RecipeError(f"env.instructions: no instruction {unknown[0]!r}; the library has {', '.join(LIBRARY)}")
    chosen = ["direct", *(name for name in names if name != "direct")] if names else list(LIBRARY)
    return {name: LIBRARY[name] for name in chosen}


def fits(name: str, position: int) -> bool:
    """Whether an instruction makes sense at this step (0 is the first)."""
    return name not in (LATER_STEPS_ONLY if position == 0 else FIRST_STEP_ONLY)
