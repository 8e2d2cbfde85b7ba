"""An engine on the simulated benchmark: sandbox, scripted or simulated model, store in memory."""

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import pytest

from aflow_verl.benchmarks.simulated import Simulated
from aflow_verl.config import EvaluationConfig, ModelConfig
from aflow_verl.evaluation.engine import Engine
from aflow_verl.evaluation.grades import MemoryStore
from aflow_verl.models.landscape import LANDSCAPES
from aflow_verl.models.simulated import SimulatedClient
from aflow_verl.sandbox.limits import Limits
from aflow_verl.sandbox.monty import MontySandbox
from aflow_verl.types import Grade
from aflow_verl.workflow.state import WorkflowState

OPERATORS = ("Custom", "ScEnsemble", "Programmer")


class Recorder(MemoryStore):
    """A grade store that remembers in which portions grades came."""

    def __init__(self) -> None:
        super().__init__()
        self.portions: list[int] = []
        self.reads = 0

    def get_grades(self, state_hash: str, fingerprint: str, problem_ids: Iterable[str]) -> Any:
        self.reads += 1
        return super().get_grades(state_hash, fingerprint, problem_ids)

    def put_grades(self, state_hash: str, fingerprint: str, grades: Iterable[Grade]) -> None:
        portion = list(grades)
        self.portions.append(len(portion))
        super().put_grades(state_hash, fingerprint, portion)

    @property
    def kept(self) -> list[Grade]:
        return list(self._grades.values())


@pytest.fixture
def store() -> Recorder:
    return Recorder()


@pytest.fixture
def benchmark() -> Simulated:
    return Simulated({"train": 40, "validation": 10, "heldout": 10})


@pytest.fixture
async def sandbox() -> AsyncIterator[MontySandbox]:
    async with MontySandbox(workers=8) as running:
        yield running


@pytest.fixture
def make_engine(sandbox: MontySandbox, store: Recorder) -> Callable[..., Engine]:
    """``make_engine(model=..., workflows=..., executor={...}, ...)``; without a model, landscape ``one_good_edit``."""

    def make(**more: Any) -> Engine:
        return Engine(
            workflows=more.pop("workflows", sandbox),
            programs=more.pop("programs", sandbox),
            model=more.pop("model", SimulatedClient(LANDSCAPES["one_good_edit"])),
            store=more.pop("store", store),
            limits=Limits(seconds=2.0),
            program_limits=Limits(seconds=2.0),
            executor=ModelConfig(kind="simulated", model="one_good_edit", **more.pop("executor", {})),
            evaluation=EvaluationConfig(retries=3, backoff_s=0.001),
            **more,
        )

    return make


@pytest.fixture
def make_workflow() -> Callable[[str], WorkflowState]:
    """``make_workflow(body)``: a workflow whose ``__call__`` is ``body``, with custom, programmer and vote at hand."""

    def make(body: str) -> WorkflowState:
        lines = "\n".join(f"        {line}" for line in body.splitlines())
        code = f"""\
class Workflow:
    def __init__(self, name, llm_config, dataset):
        self.llm = create_llm_instance(llm_config)
        self.custom = operator.Custom(self.llm)
        self.programmer = operator.Programmer(self.llm)
        self.vote = operator.ScEnsemble(self.llm)

    async def __call__(self, problem):
{lines}
"""
        return WorkflowState("simulated", code, "", OPERATORS)

    return make
