"""Writes ``soft_mixed_golden.json``: which workflow AFlow's rule edits in 20 rounds, straight from the formula.

    python tests/standalone/make_soft_mixed_golden.py

AFlow (arXiv 2410.10762; ``scripts/optimizer_utils/data_utils.py``): the pool is the seed and the best of the others,
four in all; P(i) = 0.3 / n + 0.7 * softmax(0.2 * (100 s_i - 100 s_max)). A draw from P is the highest of ln P(i) plus
Gumbel noise, seed first, then the others, best first.
Nothing of this project's search is used but the random stream; scores are counted from the landscape.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from scripted_search import LANDSCAPE, PROBLEMS, ROUNDS, SEED, colour

from aflow_verl.benchmarks.simulated import Simulated
from aflow_verl.env.seeds import generator
from aflow_verl.models.landscape import uniform

GOLDEN = Path(__file__).parent / "soft_mixed_golden.json"


def score(round_number: int) -> float:
    """Of a workflow that thinks of this colour; 0 is the seed."""
    problems = Simulated({"train": 40, "validation": PROBLEMS, "heldout": 8}).problems("validation")
    text = colour(round_number) if round_number else ""
    kind = text or "Custom"
    solved = [uniform(0, p.prompt, kind, 0) < LANDSCAPE.skill(text, p.prompt) for p in problems]
    return sum(solved) / len(solved)


def choose(scores: list[float], rng: np.random.Generator) -> int:
    """Index of the round to edit."""
    ranked = sorted(range(len(scores)), key=lambda k: scores[k], reverse=True)
    pool = [0, *[k for k in ranked if k != 0][:3]]
    percent = np.array([100 * scores[k] for k in pool])
    softmax = np.exp(0.2 * (percent - percent.max()))
    softmax /= softmax.sum()
    probabilities = 0.3 / len(pool) + 0.7 * softmax
    return pool[int((np.log(probabilities) + rng.gumbel(size=len(pool))).argmax())]


def main() -> None:
    scores, choices = [score(0)], []
    for number in range(1, ROUNDS + 1):
        choices.append(choose(scores, generator(SEED, "search", number)))
        scores.append(score(number))
    GOLDEN.write_text(json.dumps({"scores": scores, "edited": choices}) + "\n")


if __name__ == "__main__":
    main()
