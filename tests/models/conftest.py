"""A tiny random chat model, loaded once; scripted clients; time that passes at once."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aflow_verl.types import Completion, Message, SamplingParams, Usage


class Scripted:
    """A client that answers from a function and counts what it is asked."""

    fingerprint = "scripted:v1"

    def __init__(self, answer: Callable[[str, SamplingParams], str]) -> None:
        self.answer = answer
        self.asked: list[tuple[str, SamplingParams]] = []

    async def complete(self, messages: list[Message], params: SamplingParams) -> Completion:
        self.asked.append((messages[-1]["content"], params))
        return Completion(self.answer(messages[-1]["content"], params), Usage(10, 5, 0.01))

    async def close(self) -> None:
        pass


@pytest.fixture
def scripted() -> type[Scripted]:
    return Scripted


class FakeTime:
    """A clock that moves when nothing else does: to the end of the shortest sleep."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []
        self._until: dict[object, float] = {}

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        me = object()
        self.slept.append(seconds)
        self._until[me] = until = self.now + seconds
        try:
            while self.now < until:
                for _ in range(10):  # turns of the loop, in which others may have something to do
                    await asyncio.sleep(0)
                if until == min(self._until.values()):
                    self.now = max(self.now, until)
        finally:
            del self._until[me]


@pytest.fixture
def fake_time() -> FakeTime:
    return FakeTime()


@pytest.fixture(scope="session")
def tiny_model(tiny_policy: Path) -> tuple[Any, Any]:
    """Model in float64, so that the rounding of batched products can't swap two tokens, and its tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(tiny_policy, dtype=torch.float64).eval()
    return model, AutoTokenizer.from_pretrained(tiny_policy)
