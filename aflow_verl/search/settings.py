"""The recipe's ``search`` section, as the selectors read it."""

from __future__ import annotations

from dataclasses import dataclass, field

from aflow_verl.errors import RecipeError


@dataclass(frozen=True, slots=True)
class SoftMixedSettings:
    """Parameters of AFlow's rule; the defaults are those of AFlow's code."""

    sample: int = 4
    """Size of the pool: the seed and the best ``sample - 1`` others."""
    alpha: float = 0.2
    """Inverse temperature of the softmax, per hundredth of a score."""
    lambda_: float = 0.3
    """Share of the uniform distribution."""


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How the next node to edit is chosen. Raises RecipeError for a value out of range."""

    selector: str = "puct"
    """A name in ``search.catalog``."""
    fusion: str = "normalized"
    """A name in ``search.fusion``: how Q enters the score (``puct`` and ``ucb``)."""
    rl_weight: float = 0.5
    """Weight of Q against the search's own score, in [0, 1]; 0 is the search without Q."""
    c_puct: float = 1.25
    c_ucb: float = 1.414
    widening_k: float = 2.0
    widening_a: float = 0.5
    """A node with N visits has at most ``widening_k * N ** widening_a`` children before the search goes below it."""
    first_play: float = 0.5
    """``ucb``: the pseudo-visits of a node without visits, in (0, 1]; keeps its exploration term finite."""
    soft_mixed: SoftMixedSettings = field(default_factory=SoftMixedSettings)

    def __post_init__(self) -> None:
        _check("rl_weight", self.rl_weight, 0.0 <= self.rl_weight <= 1.0, "in [0, 1]")
        _check("c_puct", self.c_puct, self.c_puct >= 0.0, "at least 0")
        _check("c_ucb", self.c_ucb, self.c_ucb >= 0.0, "at least 0")
        _check("widening_k", self.widening_k, self.widening_k > 0.0, "above 0")
        _check("widening_a", self.widening_a, 0.0 <= self.widening_a <= 1.0, "in [0, 1]")
        _check("first_play", self.first_play, 0.0 < self.first_play <= 1.0, "in (0, 1]")
        _check("soft_mixed.sample", self.soft_mixed.sample, self.soft_mixed.sample >= 1, "at least 1")
        _check("soft_mixed.alpha", self.soft_mixed.alpha, self.soft_mixed.alpha >= 0.0, "at least 0")
        _check("soft_mixed.lambda_", self.soft_mixed.lambda_, 0.0 <= self.soft_mixed.lambda_ <= 1.0, "in [0, 1]")


def _check(key: str, value: float, good: bool, expected: str) -> None:
    if not good:
        raise RecipeError(f"search.{key} must be {expected}, got {value}")
