"""A verifier of reasoning-gym: a program of the sandbox, because some verifiers evaluate what a model wrote."""

from __future__ import annotations

from typing import Any

import reasoning_gym


def best_score(task: str, settings: dict[str, Any], entry: dict[str, Any], candidates: list[str]) -> float:
    """The highest score of ``candidates``; 0 for one that the verifier stumbles over."""
    dataset = reasoning_gym.create_dataset(task, size=1, seed=0, **settings)
    scores = [0.0]
    for candidate in candidates:
        try:
            scores.append(float(dataset.score_answer(candidate, entry)))
        except Exception:  # the text's fault
            scores.append(0.0)
    return max(scores)
