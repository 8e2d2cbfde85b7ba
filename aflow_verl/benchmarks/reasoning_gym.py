"""Tasks of the package reasoning-gym: unlimited problems with a verifier, made offline from a seed.

A task is named as ``letter_counting``, or with settings of its dataset as ``letter_counting(max_words=6)``; a mixture
as ``composite(datasets=['gcd', 'lcm'])``. Several tasks share each split evenly, in turn. ``verifiers`` scores answers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

import reasoning_gym
from reasoning_gym.composite import DatasetSpec
from reasoning_gym.factory import DATASETS

from aflow_verl.benchmarks.answers import final_answer, is_number, last_number
from aflow_verl.benchmarks.base import SPLITS, Split
from aflow_verl.benchmarks.task_spec import TaskSpec, composite_parts, parse_task, verified_tasks
from aflow_verl.benchmarks.verifiers import PRELOAD, needs_sandbox, verify
from aflow_verl.errors import RecipeError
from aflow_verl.sandbox.base import ProgramSandbox
from aflow_verl.types import Problem

_OVERSAMPLE = 8
"""Candidates made per problem asked for, so that repeated texts can be left out."""
_REFERENCES: Mapping[str, str] = MappingProxyType(
    {"graph_color": "possible_answer", "propositional_logic": "example_answer", "rubiks_cube": "example_correct_answer"}
)
"""Task without one right answer -> key of its metadata with a right one; boxnet and rush_hour give none."""


class ReasoningGym:
    """A mixture of reasoning-gym tasks. Splits are disjoint by problem text as well as by seed."""

    name = "reasoning_gym"
    answer_format = "The last line is the answer alone, or 'Answer: ...'; for a number, the last number counts."
    needs_calls = False

    def __init__(self, tasks: Sequence[str], sizes: Mapping[Split, int], seed: int = 0) -> None:
        """Raises ``RecipeError`` for an unknown task or setting, or where too few different problems exist."""
        if not tasks:
            raise RecipeError("benchmark.tasks: reasoning_gym needs at least one task, for example letter_counting")
        specs = [_checked(text) for text in tasks]
        self.task = "Solve: " + ", ".join(dict.fromkeys(spec.name.replace("_", " ") for spec in specs)) + "."
        self.preload: tuple[str, ...] = PRELOAD if any(map(needs_sandbox, verified_tasks(specs))) else ()
        self._verifiers = [_Verifier(spec) for spec in specs]
        seen: set[str] = set()
        self._problems = _mix(
            [_draw(spec, i, _shares(sizes, i, len(specs)), seed, seen) for i, spec in enumerate(specs)]
        )

    def problems(self, split: Split) -> Sequence[Problem]:
        return self._problems[split]

    async def grade(self, problem: Problem, answer: str, programs: ProgramSandbox) -> float:
        """The better one of the whole answer and the answer found in it counts."""
        entry = {"question": problem.prompt, "answer": problem.reference, "metadata": dict(problem.data["metadata"])}
        task, settings, dataset = self._verifiers[problem.data["task"]].of(entry)
        return await verify(task, settings, dataset, entry, candidates(answer, problem.reference), programs)


class _Verifier:
    """What verifies the answers to a task: for a mixture, that of the task which made the problem."""

    def __init__(self, spec: TaskSpec) -> None:
        self._spec = spec
        self._dataset = _dataset(spec, 1, 0)

    def of(self, entry: Mapping[str, Any]) -> tuple[str, Mapping[str, Any], Any]:
        """Name, settings and dataset of the verifying task."""
        parts = composite_parts(self._spec)
        if not parts:
            return self._spec.name, self._spec.settings, self._dataset
        name = entry["metadata"]["source_dataset"]
        return name, parts[name]["config"], self._dataset.datasets[name]


def candidates(answer: str, reference: str) -> tuple[str, ...]:
    """What may be verified of an answer: for a number, the last number of the final answer (else of the whole text);
    otherwise the final answer (with its full stop where the reference has one) and the stripped whole."""
    final = final_answer(answer)
    if is_number(reference):
        return (last_number(final) or last_number(answer) or "",)
    return (final, *((f"{final}.",) if reference.endswith(".") else ()), answer.strip())


def _checked(text: str) -> TaskSpec:
    spec = parse_task(text)
    parts = composite_parts(spec)
    for name in parts or (spec.name,):
        if name not in DATASETS or (parts and name == spec.name):
            close = get_close_matches(str(name), DATASETS, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise RecipeError(f"benchmark.tasks: reasoning_gym has no task {name!r}{hint}")
    return spec


def _dataset(spec: TaskSpec, size: int, seed: int) -> Any:
    settings = dict(spec.settings)
    if spec.name == "composite":
        settings["datasets"] = [DatasetSpec(**part) for part in composite_parts(spec).values()]
    try:
        return reasoning_gym.create_dataset(spec.name, size=size, seed=seed, **settings)
    except (TypeError, AssertionError, ValueError) as refused:
        reason = " ".join(str(refused).split())
        raise RecipeError(
            f"benchmark.tasks: reasoning_gym refuses {spec.name} with {dict(spec.settings)}: {reason}"
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
            if entry["question"] not in seen and _solved(entry):
                seen.add(entry["question"])
                found.append(_problem(spec, i, entry))
        if len(found) < size:
            raise RecipeError(
                f"benchmark.tasks: {spec.name} yields only {len(found)} different problems of {size} for {split}"
            )
        drawn[split] = found
    return drawn


def _problem(spec: TaskSpec, i: int, entry: Mapping[str, Any]) -> Problem:
    reference = _reference(entry)
    digest = hashlib.sha256(f"{entry['question']}\0{reference}".encode()).hexdigest()[:12]
    data = {"task": i, "metadata": entry["metadata"]}
    return Problem(f"reasoning_gym/{spec.name}/{digest}", entry["question"], reference, data=data)


def _reference(entry: Mapping[str, Any]) -> str:
    if entry["answer"] is not None:
        return str(entry["answer"])
    example = entry["metadata"].get(_REFERENCES.get(entry["metadata"]["source_dataset"], ""), "")
    return example if isinstance(example, str) else json.dumps(example)


def _solved(entry: Mapping[str, Any]) -> bool:
    """False where the generator did not find the answer and gives the question again, as an unevaluated integral."""
    return "Integral(" not in str(entry["answer"])


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
