"""How the good edits of a family add up: each shape is a function of which of them are on.

A shape gets all states of the good edits and the trap at once and returns the share of the possible gain that each
state has, 1 in the best one. Dimension letters: S states, G good edits (in the order of their roles).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Shape = Callable[[Bools, Bools, Floats, float], Floats]
"""(on_SG, trap_S, weights_G, parameter) -> share_S; ``weights_G`` sum to 1, ``parameter`` is the family's own."""


def additive(on_SG: Bools, trap_S: Bools, weights_G: Floats, parameter: float) -> Floats:
    """Sum the weights of the good edits that are on."""
    return on_SG @ weights_G


def together(on_SG: Bools, trap_S: Bools, weights_G: Floats, parameter: float) -> Floats:
    """Pay only where all good edits are on."""
    return on_SG.all(axis=1).astype(float)


def ladder(on_SG: Bools, trap_S: Bools, weights_G: Floats, parameter: float) -> Floats:
    """Count the good edits that are on before the first one that is off: each needs those before it."""
    return np.cumprod(on_SG, axis=1).sum(axis=1) / on_SG.shape[1]


def enough(on_SG: Bools, trap_S: Bools, weights_G: Floats, parameter: float) -> Floats:
    """min(1, good edits on / ``parameter``): any so many of them will do."""
    return np.minimum(1.0, on_SG.sum(axis=1) / parameter)


def diminishing(on_SG: Bools, trap_S: Bools, weights_G: Floats, parameter: float) -> Floats:
    """(1 - d^k) / (1 - d^G) for k good edits that are on, d = ``parameter`` in (0, 1): the first one brings most."""
    return (1.0 - parameter ** on_SG.sum(axis=1)) / (1.0 - parameter ** on_SG.shape[1])


def deceptive(on_SG: Bools, trap_S: Bools, weights_G: Floats, parameter: float) -> Floats:
    """(k / G)^2 for k good edits that are on; with the trap on, ``parameter`` whatever else is on.

    The trap pays at once, more than any good edit alone, and hides what the good edits are worth.
    """
    return np.where(trap_S, parameter, (on_SG.sum(axis=1) / on_SG.shape[1]) ** 2)


SHAPES: Mapping[str, Shape] = MappingProxyType(
    {
        "additive": additive,
        "together": together,
        "ladder": ladder,
        "enough": enough,
        "diminishing": diminishing,
        "deceptive": deceptive,
    }
)
"""Name -> shape. A file of families may bring its own (``families.load``)."""
