"""Which of what was tried before is used again: ``experience.sampling``, for whatever has a score and a surprise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from aflow_verl.errors import RecipeError


class Sampled(Protocol):
    """What can be drawn: an edit, a training row that it made, a workflow."""

    @property
    def after(self) -> float | None:
        """Score after the edit; None where there is none."""

    @property
    def surprise(self) -> float | None:
        """|V - tree return|; None where there was no V."""


T = TypeVar("T", bound=Sampled)


def uniform(items: Sequence[T], size: int, rng: np.random.Generator) -> tuple[T, ...]:
    """Each alike."""
    return tuple(items[i] for i in rng.choice(len(items), size, replace=False)) if size else ()


def best(items: Sequence[T], size: int, rng: np.random.Generator) -> tuple[T, ...]:
    """The highest scores after the edit; those without one last, of equals the older first."""
    return tuple(sorted(items, key=lambda item: -1.0 if item.after is None else item.after, reverse=True)[:size])


def recent(items: Sequence[T], size: int, rng: np.random.Generator) -> tuple[T, ...]:
    """The latest, newest first."""
    return tuple(reversed(items))[:size]


def surprising(items: Sequence[T], size: int, rng: np.random.Generator) -> tuple[T, ...]:
    """Drawn in proportion to |V - return|; those without one count as the average one does."""
    if not size:
        return ()
    known = [item.surprise for item in items if item.surprise is not None]
    average = float(np.mean(known)) if known else 1.0
    weights = np.array([average if item.surprise is None else item.surprise for item in items]) + SURPRISE_FLOOR
    return tuple(items[i] for i in rng.choice(len(items), size, replace=False, p=weights / weights.sum()))


SURPRISE_FLOOR = 1e-3
"""Keeps what was predicted to the point drawable."""

SAMPLERS: Mapping[str, Callable[[Sequence[Any], int, np.random.Generator], tuple[Any, ...]]] = {
    "uniform": uniform,
    "best": best,
    "recent": recent,
    "surprising": surprising,
}


def sample(how: str, items: Sequence[T], size: int, rng: np.random.Generator) -> tuple[T, ...]:
    """At most ``size`` different ones of ``items``, which stand in the order in which they were made.

    Raises RecipeError for a rule that is not one of ``SAMPLERS``.
    """
    if how not in SAMPLERS:
        raise RecipeError(f"experience sampling: {how!r} is not one of {', '.join(SAMPLERS)}")
    return SAMPLERS[how](items, min(size, len(items)), rng)
