"""Sandboxes for the programs that benchmarks run, and made-up rows."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from aflow_verl.benchmarks.code_scorer import CodeScorer
from aflow_verl.benchmarks.math import Math
from aflow_verl.benchmarks.verifiers import PRELOAD
from aflow_verl.sandbox.base import HostCall
from aflow_verl.sandbox.limits import Limits
from aflow_verl.sandbox.process.sandbox import ProcessSandbox
from aflow_verl.sandbox.result import RunResult


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def process_programs() -> AsyncIterator[ProcessSandbox]:
    """What code benchmarks run in. Tests that use it are marked ``asyncio(loop_scope="session")``."""
    async with ProcessSandbox(workers=2, preload=CodeScorer.preload, minimum_level="limits") as sandbox:
        yield sandbox


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def grading_programs() -> AsyncIterator[ProcessSandbox]:
    """The same with what MATH and reasoning-gym import. Tests that use it are marked likewise."""
    preload = (*Math.preload, *PRELOAD)
    async with ProcessSandbox(workers=2, preload=preload, minimum_level="limits") as sandbox:
        yield sandbox


class NoPrograms:
    """A program sandbox for scorers that need none: a run fails the test."""

    name = "none"
    supports_calls = False

    async def run_program(self, code: str, limits: Limits, *, call: HostCall | None = None) -> RunResult:
        raise AssertionError("this grade needs no program")

    async def close(self) -> None:
        """Nothing to end."""


@pytest.fixture(scope="session")
def no_programs() -> NoPrograms:
    return NoPrograms()


@pytest.fixture(scope="session")
def made_up_rows() -> dict[str, list[dict[str, Any]]]:
    """Twelve rows of each text benchmark in AFlow's fields, from no data set. Row ``i`` has the answer ``i + 7``."""
    return {
        "gsm8k": [
            {"question": f"Ann has {i} pens and buys 7. How many?", "answer": f"{i}+7=<<{i}+7={i + 7}>>\n#### {i + 7}"}
            for i in range(12)
        ],
        "math": [
            {"problem": f"Compute ${i} + 7$.", "solution": f"The sum is $\\boxed{{{i + 7}}}$."} for i in range(12)
        ],
        "hotpotqa": [
            {
                "question": f"How many boats has the town of Aberwick {i}?",
                "answer": f"{i + 7} boats",
                "context": [
                    [f"Aberwick {i}", ["It lies by the sea.", f"It has {i + 7} boats."]],
                    ["Sea", ["It is wet."]],
                ],
            }
            for i in range(12)
        ],
        "drop": [
            {
                "context": f"Passage: {i} goals, then 7.\nQuestion: How many?\nAnswer:",
                "ref_text": f"{i + 7}|{i + 7} goals",
            }
            for i in range(12)
        ],
    }
