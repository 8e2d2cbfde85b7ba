"""The selectors by name, and the one way to ask them."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from aflow_verl.errors import RecipeError
from aflow_verl.search.puct import puct
from aflow_verl.search.qvalues import QSnapshot
from aflow_verl.search.selection import Choice, Expandable, Part, Selected, Selector, Situation
from aflow_verl.search.settings import SearchSettings
from aflow_verl.search.soft_mixed import soft_mixed
from aflow_verl.search.ucb import ucb
from aflow_verl.search.view import TreeView

SELECTORS: dict[str, Selector] = {"soft_mixed": soft_mixed, "ucb": ucb, "puct": puct}

NONE_IN_FLIGHT: Mapping[str, int] = {}


def always(node_id: str) -> bool:
    """The default ``expandable``: every workflow can be edited."""
    return True


def selector_named(name: str) -> Selector:
    """Raises RecipeError for a name that is not in the table."""
    if name not in SELECTORS:
        raise RecipeError(f"search.selector: {name!r} is not one of {', '.join(SELECTORS)}")
    return SELECTORS[name]


def select(
    tree: TreeView,
    q: QSnapshot | None,
    settings: SearchSettings,
    rng: np.random.Generator,
    *,
    expandable: Expandable = always,
    in_flight: Mapping[str, int] = NONE_IN_FLIGHT,
) -> Choice:
    """The node to edit next.

    ``q`` None is the search without Q. ``expandable`` is asked at most once a node. The same selector is asked once
    more without Q, on a copy of the generator, to tell whether Q changed the choice. Raises SearchExhausted if no node
    can be edited.
    """
    selector = selector_named(settings.selector)
    situation = Situation(tree, q, settings, rng, functools.cache(expandable), in_flight)
    if situation.alpha == 0.0:
        selected = selector(situation)
        return _choice(tree, selected, selected.node_id)
    without_q = selector(replace(situation, q=None, rng=copy.deepcopy(rng)))
    return _choice(tree, selector(situation), without_q.node_id)


def _choice(tree: TreeView, selected: Selected, node_id_without_q: str) -> Choice:
    parts = selected.parts
    known = [part for part in parts if not tree.is_new(part.node)]
    return Choice(
        node_id=selected.node_id,
        parts=tuple(part.to_json() for part in parts),
        node_id_without_q=node_id_without_q,
        alpha_effective=sum(part.alpha for part in parts) / len(parts),
        candidates=len(parts),
        own_q=_own(parts),
        inherited_q=sum(part.inherited for part in parts),
        snapshot_candidates=len(known),
        snapshot_own_q=_own(known),
    )


def _own(parts: Sequence[Part]) -> int:
    return sum(part.v is not None and not part.inherited for part in parts)
