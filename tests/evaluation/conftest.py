"""An engine on the simulated benchmark: sandbox, scripted or simulated model, store in memory."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any

import pytest

from aflow_verl.benchmarks.simulated import Simulated
from aflow_verl.config import EvaluationConfig, ExecutorConfig
from aflow_verl.evaluation.engine import Evaluator
from aflow_verl.models.landscape import LANDSCAPES
from aflow_verl.models.simulated import SimulatedClient
from aflow_verl.sandbox.limits import Limits
from aflow_verl.sandbox.monty import MontySandbox
from aflow_verl.types import Grade


class MemoryStore:
    """A grade store that remembers what was put, and in which portions."""

    def __init__(self) -> None:
        self.grades: dict[tuple[str, str, str], Grade] = {}
        self.portions: list[int] = []

    def get_grades(self, state_hash: str, fingerprint: str, problem_ids: Iterable[str]) -> Mapping[str, Grade]:
        keys = {problem_id: (state_hash, fingerprint, problem_id) for problem_id in problem_ids}
        return {problem_id: self.grades[key] for problem_id, key in keys.items() if key in self.grades}

    def put_grades(self, state_hash: str, fingerprint: str, grades: Iterable[Grade]) -> None:
        portion = list(grades)
        self.portions.append(len(portion))
        self.grades.update({(state_hash, fingerprint, grade.problem_id): grade for grade in portion})


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def benchmark() -> Simulated:
    return Simulated({"train": 40, "validation": 10, "heldout": 10})


@pytest.fixture
async def sandbox() -> AsyncIterator[MontySandbox]:
    async with MontySandbox(workers=4) as running:
        yield running


@pytest.fixture
def make_evaluator(sandbox: MontySandbox, benchmark: Simulated, store: MemoryStore) -> Callable[..., Evaluator]:
    """``make_evaluator(model=..., sandbox=..., ...)``; without a model, the landscape ``one_good_edit``."""

    def make(**more: Any) -> Evaluator:
        return Evaluator(
            sandbox=more.pop("sandbox", sandbox),
            model=more.pop("model", SimulatedClient(LANDSCAPES["one_good_edit"])),
            benchmark=benchmark,
            store=more.pop("store", store),
            limits=Limits(seconds=2.0),
            executor=ExecutorConfig(kind="simulated", model="one_good_edit", **more.pop("executor", {})),
            evaluation=EvaluationConfig(retries=3, backoff_s=0.001),
            **more,
        )

    return make
