"""What an edit and an episode are worth: the one place to change that. Score units, in [-1, 1] for equal weights."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from aflow_verl.types import Evaluation


def step_reward(child: Evaluation, parent: Evaluation, weights: Mapping[str, float]) -> float:
    """Paired gain: mean over the row's problems of weight * (child - parent).

    Args:
        weights: by problem id, those of ``env.problems``; 1 where missing.

    Raises:
        ValueError: the two were not graded on the same problems in the same order.
    """
    pairs = list(zip(child.grades, parent.grades, strict=True))
    if any(c.problem_id != p.problem_id for c, p in pairs):
        raise ValueError("a paired gain needs both workflows on the same problems")
    gains = (weights.get(c.problem_id, 1.0) * (c.score - p.score) for c, p in pairs)
    return math.fsum(gains) / len(pairs) if pairs else 0.0


def episode_return(made: Iterable[Evaluation], start: Evaluation, weights: Mapping[str, float]) -> float:
    """Best paired gain of the workflows that an episode made over the one that it started from, at least 0.

    Penalties of invalid replies are in the step rewards alone; grading the start again brings nothing.
    """
    return max([0.0, *(step_reward(evaluation, start, weights) for evaluation in made)])
