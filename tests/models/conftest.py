"""A tiny random chat model, loaded once."""

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


@pytest.fixture(scope="session")
def tiny_model(tiny_policy: Path) -> tuple[Any, Any]:
    """Model in float64, so that the rounding of batched products can't swap two tokens, and its tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(tiny_policy, dtype=torch.float64).eval()
    return model, AutoTokenizer.from_pretrained(tiny_policy)
