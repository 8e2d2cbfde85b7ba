"""The selectors by name, and the one way to ask them."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from aflow_verl.config import SearchConfig
from aflow_verl.errors import RecipeError
from aflow_verl.search.columns import Bools
from aflow_verl.search.comparison import Comparison
from aflow_verl.search.puct import puct
from aflow_verl.search.qvalues import QSnapshot
from aflow_verl.search.selection import Choice, Expandable, Selected, Selector, Situation
from aflow_verl.search.soft_mixed import soft_mixed
from aflow_verl.search.thompson import thompson
from aflow_verl.search.ucb import ucb
from aflow_verl.search.view import TreeView

SELECTORS: dict[str, Selector] = {"soft_mixed": soft_mixed, "ucb": ucb, "puct": puct, "thompson": thompson}

NONE_IN_FLIGHT: Mapping[str, int] = {}


def selector_named(name: str) -> Selector:
    """Raises RecipeError for a name that is not in the table."""
    if name not in SELECTORS:
        raise RecipeError(f"search.selector: {name!r} is not one of {', '.join(SELECTORS)}")
    return SELECTORS[name]


def select(
    tree: TreeView,
    q: QSnapshot | None,
    settings: SearchConfig,
    rng: np.random.Generator,
    *,
    expandable: Expandable | None = None,
    in_flight: Mapping[str, int] = NONE_IN_FLIGHT,
) -> Choice:
    """The node to edit next.

    ``q`` None is the search without Q. ``expandable`` None: every workflow can be edited; otherwise it is asked at most
    once a node. The same selector is asked once
    more without Q, on the same random numbers, to tell whether Q changed the choice. Raises SearchExhausted if no node
    can be edited.
    """
    selector = selector_named(settings.selector)
    asked = functools.cache(expandable) if expandable else None
    situation = Situation(tree, q, settings, rng, asked, in_flight)
    if not situation.uses_q:
        selected = selector(situation)
        return _choice(tree, selected, selected.node_id)
    state = rng.bit_generator.state
    without_q = selector(replace(situation, q=None))
    rng.bit_generator.state = state
    return _choice(tree, selector(situation), without_q.node_id)


def _choice(tree: TreeView, selected: Selected, node_id_without_q: str) -> Choice:
    compared = selected.comparisons
    candidates = sum(len(comparison) for comparison in compared)
    own = [~np.isnan(comparison.v_K) & ~comparison.inherited_K for comparison in compared]
    old = [_known_before(tree, comparison) for comparison in compared]
    return Choice(
        node_id=selected.node_id,
        comparisons=compared,
        node_id_without_q=node_id_without_q,
        alpha_effective=float(sum(comparison.alpha_K.sum() for comparison in compared)) / candidates,
        candidates=candidates,
        own_q=_count(own),
        inherited_q=_count([comparison.inherited_K for comparison in compared]),
        snapshot_candidates=_count(old),
        snapshot_own_q=_count([o & known for o, known in zip(own, old, strict=True)]),
    )


def _known_before(tree: TreeView, comparison: Comparison) -> Bools:
    ids = comparison.ids
    fan = tree.fan(comparison.at)
    return fan.kept(("known before", ids), lambda: np.fromiter(tree.known_before(ids), np.bool_, len(ids)))


def _count(marks: Sequence[Bools]) -> int:
    return int(sum(mark.sum() for mark in marks))
