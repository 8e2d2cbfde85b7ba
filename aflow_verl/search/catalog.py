"""The selectors by name."""

from __future__ import annotations

from collections.abc import Mapping

from aflow_verl.errors import RecipeError
from aflow_verl.search.selection import Selector
from aflow_verl.search.selectors import greedy, puct, soft_mixed, thompson, ucb

SELECTORS: Mapping[str, Selector] = {
    "ucb": Selector(ucb),
    "puct": Selector(puct),
    "thompson": Selector(thompson),
    "greedy": Selector(greedy),
    "soft_mixed": Selector(soft_mixed, widening=False),
}


def selector_named(name: str) -> Selector:
    """Raises RecipeError for a name that is not in the table."""
    if name not in SELECTORS:
        raise RecipeError(f"search.selector: {name!r} is not one of {', '.join(SELECTORS)}")
    return SELECTORS[name]
