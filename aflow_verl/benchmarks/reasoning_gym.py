"""Tasks of the package reasoning-gym: unlimited problems with a verifier, made offline from a seed.

A task is named as ``letter_counting``, or with settings of its dataset as ``letter_counting(max_words=6)``.
Several tasks share each split evenly, in turn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import reasoning_gym
from reasoning_gym.factory import DATASETS

from aflow_verl.benchmarks.answers import final_answer, is_number, last_number
from aflow_verl.benchmarks.base import SPLITS, Split
from aflow_verl.benchmarks.task_spec import TaskSpec, parse_task
from aflow_verl.benchmarks.verifiers import REFUSAL, SAFE_TASKS
from aflow_verl.errors import RecipeError
from aflow_verl.types import Problem

_OVERSAMPLE = 8
"""Candidates made per problem asked for, so that repeated texts can be left out."""


class ReasoningGym:
    """A mixture of reasoning-gym tasks. Splits are disjoint by problem text as well as by seed."""

    name = "reasoning_gym"
    answer_format = "The last line is the answer alone, or 'Answer: ...'; for a number, the last number counts."

    def __init__(self, tasks: Sequence[str], sizes: Mapping[Split, int], seed: int = 0) -> None:
        """Raises ``RecipeError`` for an unknown task or setting, a task whose verifier evaluates answers as code, or
        where too few different problems exist."""
        if not tasks:
            raise RecipeError("benchmark.tasks: reasoning_gym needs at least one task, for example letter_counting")
        specs = [_checked(text) for text in tasks]
        self.task = "Solve: " + ", ".join(dict.fromkeys(spec.name.replace("_", " ") for spec in specs)) + "."
        self._datasets = [_dataset(spec, 1, 0) for spec in specs]
        seen: set[str] = set()
        self._problems = _mix(
            [_draw(spec, i, _shares(sizes, i, len(specs)), seed, seen) for i, spec in enumerate(specs)]
        )

    def problems(self, split: Split) -> Sequence[Problem]:
        return self._problems[split]

    def grade(self, problem: Problem, answer: str) -> float:
        """The task's own verifier on the whole answer, and on the answer found in it; the better one counts.

        A verifier that stumbles over an odd answer grades it 0. Verifiers run in this process, so only those are used
        that never evaluate an answer as code (``verifiers``).
        """
        entry = {"question": problem.prompt, "answer": problem.reference, "metadata": problem.data["metadata"]}
        dataset = self._datasets[problem.data["task"]]
        return max(_verify(dataset, candidate, entry) for candidate in candidates(answer, problem.reference))


def candidates(answer: str, reference: str) -> tuple[str, ...]:
    """What may be verified of an answer: for a number, the last number of the final answer (else of the whole text);
    otherwise the final answer and the stripped whole."""
    final = final_answer(answer)
    if is_number(reference):
        return (last_number(final) or last_number(answer) or "",)
    return (final, answer.strip())


def _checked(text: str) -> TaskSpec:
    spec = parse_task(text)
    if spec.name not in DATASETS:
        close = get_close_matches(spec.name, DATASETS, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise RecipeError(f"benchmark.tasks: reasoning_gym has no task {spec.name!r}{hint}")
    if spec.name not in SAFE_TASKS:
        raise RecipeError(f"benchmark.tasks: {spec.name} can't be used: {REFUSAL}")
    return spec


def _dataset(spec: TaskSpec, size: int, seed: int) -> Any:
    try:
        return reasoning_gym.create_dataset(spec.name, size=size, seed=seed, **spec.settings)
    except (TypeError, AssertionError, ValueError) as refused:
        raise RecipeError(
            f"benchmark.tasks: reasoning_gym refuses {spec.name} with {dict(spec.settings)}: {refused}"
        ) from None


def _shares(sizes: Mapping[Split, int], i: int, n: int) -> dict[Split, int]:
    """Problems of task ``i`` of ``n`` in each split; the first tasks take the remainder."""
    return {split: sizes[split] // n + (i < sizes[split] % n) for split in SPLITS}


def _draw(spec: TaskSpec, i: int, sizes: Mapping[Split, int], seed: int, seen: set[str]) -> dict[Split, list[Problem]]:
    """Problems of one task, none whose text is ``seen``.

    Held-out problems are drawn first, so that other sizes leave them alone.
    """
    drawn: dict[Split, list[Problem]] = {}
    for split in reversed(SPLITS):
        size = sizes[split]
        dataset = _dataset(spec, max(1, size * _OVERSAMPLE), _seed(seed, spec, split))
        found: list[Problem] = []
        for index in range(size * _OVERSAMPLE):
            if len(found) == size:
                break
            entry = dataset[index]
            if entry["question"] not in seen:
                seen.add(entry["question"])
                found.append(_problem(spec, i, entry))
        if len(found) < size:
            raise RecipeError(
                f"benchmark.tasks: {spec.name} yields only {len(found)} different problems of {size} for {split}"
            )
        drawn[split] = found
    return drawn


def _problem(spec: TaskSpec, i: int, entry: Mapping[str, Any]) -> Problem:
    digest = hashlib.sha256(f"{entry['question']}\0{entry['answer']}".encode()).hexdigest()[:12]
    data = {"task": i, "metadata": entry["metadata"]}
    return Problem(f"reasoning_gym/{spec.name}/{digest}", entry["question"], str(entry["answer"]), data=data)


def _mix(by_task: Sequence[Mapping[Split, list[Problem]]]) -> dict[Split, tuple[Problem, ...]]:
    """Tasks in turn: the first problem of each, then the second of each."""
    return {
        split: tuple(
            problems[split][k]
            for k in range(max(len(problems[split]) for problems in by_task))
            for problems in by_task
            if k < len(problems[split])
        )
        for split in SPLITS
    }


def _seed(seed: int, spec: TaskSpec, split: Split) -> int:
    digest = hashlib.sha256(f"{seed}/{spec.name}/{sorted(spec.settings.items())}/{split}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def _verify(dataset: Any, answer: str, entry: Mapping[str, Any]) -> float:
    try:
        score = float(dataset.score_answer(answer, entry))
    except Exception:  # verifiers parse answers with everything from int() to sympy
        return 0.0
    return min(1.0, max(0.0, score)) if score == score else 0.0
