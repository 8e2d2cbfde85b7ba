"""A seeded stand-in for a language model, with known skill per operator and problem. It understands nothing.

It answers the problems of the simulated benchmark, rightly with the chance that its landscape gives, and picks a
letter where solutions are put to a vote. Each reply is decided by a hash of (seed, problem, kind of call, sample
index), so runs repeat exactly, and a sampled call differs from one draw to the next as a model's would.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from aflow_verl.models.landscape import CHOICE_MARKER, PROBLEM, Landscape, answer_of, digest, uniform, wrong_answer
from aflow_verl.types import Completion, Message, SamplingParams, Usage

_SOLUTION = re.compile(r"^([A-Z])[:.)]\s*(\S.*?)\s*$", re.MULTILINE)


class SimulatedClient:
    """Answers at once. ``fingerprint`` says that it is simulated, and which landscape and seed it is."""

    def __init__(self, landscape: Landscape, *, name: str = "custom", seed: int = 0) -> None:
        self.fingerprint = f"simulated:{name}:{digest(repr(landscape)):016x}:seed{seed}"
        self._landscape = landscape
        self._seed = seed

    async def complete(self, messages: Sequence[Message], params: SamplingParams) -> Completion:
        """A number for a simulated problem, a letter for a vote, an empty reply for anything else."""
        text = "\n".join(message["content"] for message in messages)
        draw = params.sample_index if params.temperature > 0 else 0
        reply = self._choose(text, draw) if CHOICE_MARKER in text else self._solve(text, draw)
        return Completion(reply, Usage(len(text.split()), len(reply.split()), 0.0))

    async def close(self) -> None:
        """Nothing to release."""

    def _solve(self, text: str, draw: int) -> str:
        posed = PROBLEM.findall(text)
        if not posed:
            return ""
        problem, kind = posed[-1], self._landscape.kind(text)
        if uniform(self._seed, problem, kind, draw) < self._landscape.skill(text, problem):
            number = answer_of(problem)
        else:
            number = wrong_answer(problem, self._seed, kind, draw)
        return self._landscape.note(text) + number

    def _choose(self, text: str, draw: int) -> str:
        solutions = _SOLUTION.findall(text)
        if not solutions:
            return "A"
        popular = Counter(solution for _, solution in solutions).most_common(1)[0][0]
        letter = next(letter for letter, solution in solutions if solution == popular)
        if uniform(self._seed, "choice", text, draw) >= self._landscape.choice:
            letter = solutions[digest(self._seed, "letter", text, draw) % len(solutions)][0]
        return letter
