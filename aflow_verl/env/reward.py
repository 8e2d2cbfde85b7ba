"""What an edit and an episode are worth. Scores and rewards are in [-1, 1], in units of a benchmark's score."""

from __future__ import annotations

import math
from collections.abc import Sequence

from aflow_verl.types import Evaluation


def step_reward(child: Evaluation, parent: Evaluation) -> float:
    """Paired gain: mean over the row's problems of child minus parent.

    Raises:
        ValueError: the two were not graded on the same problems in the same order.
    """
    pairs = list(zip(child.grades, parent.grades, strict=True))
    if any(c.problem_id != p.problem_id for c, p in pairs):
        raise ValueError("a paired gain needs both workflows on the same problems")
    return math.fsum(c.score - p.score for c, p in pairs) / len(pairs) if pairs else 0.0


def tree_returns(rewards: Sequence[float], parent_steps: Sequence[int], gamma: float) -> list[float]:
    """``y_t = r_t + gamma * max(0, max of y_k over later steps k that edited the child made at t)``.

    Args:
        rewards: r_t of one episode's steps in order.
        parent_steps: for each step the earlier step that made the state edited there, -1 if none.
    """
    returns = list(rewards)
    best_later = [0.0] * len(returns)
    for t in reversed(range(len(returns))):
        returns[t] += gamma * best_later[t]
        if parent_steps[t] >= 0:
            best_later[parent_steps[t]] = max(best_later[parent_steps[t]], returns[t])
    return returns


def episode_return(best_at_end: float, best_at_start: float, invalid_replies: int, penalty: float) -> float:
    """Confirmed best gain: posterior mean of the best node at the end minus that of the best one at the start, not
    below 0, minus ``penalty`` for each invalid reply."""
    return max(0.0, best_at_end - best_at_start) - penalty * invalid_replies
