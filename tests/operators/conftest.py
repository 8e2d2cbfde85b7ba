from collections import Counter
from collections.abc import Sequence

import pytest

from aflow_verl.operators.base import OperatorContext
from aflow_verl.sandbox.result import RunResult
from aflow_verl.types import Message


class Script:
    """A model and a program runner that answer from lists and record what they were asked."""

    def __init__(self) -> None:
        self.replies: list[str] = []
        self.results: list[RunResult] = []
        self.asked: list[list[Message]] = []
        self.programs: list[str] = []
        self.malformed: Counter[str] = Counter()

    async def model(self, messages: Sequence[Message]) -> str:
        self.asked.append(list(messages))
        return self.replies.pop(0)

    async def run(self, code: str) -> RunResult:
        self.programs.append(code)
        return self.results.pop(0)

    def context(self, *, attempts: int = 1, public_tests: tuple[str, ...] = ()) -> OperatorContext:
        return OperatorContext(self.model, self.run, self.malformed, attempts, public_tests)

    def text(self, number: int = -1) -> str:
        """What the last message of a model call said."""
        return self.asked[number][-1]["content"]


@pytest.fixture
def script() -> Script:
    return Script()
