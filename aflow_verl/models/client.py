"""What every model client offers: messages and parameters in, text and usage out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import lru_cache
from json.encoder import encode_basestring_ascii as _quoted
from typing import Protocol

from aflow_verl.errors import ModelUnavailable
from aflow_verl.types import Completion, Message, SamplingParams


class ModelClient(Protocol):
    """A model. Calls may run concurrently; raises ``ModelUnavailable`` where no answer could be had."""

    @property
    def fingerprint(self) -> str:
        """Model, server and prompt-format version: equal fingerprints mean interchangeable replies (a cache key part).
        It may change between calls, as a policy's weights do: read it at each."""
        ...

    async def complete(self, messages: Sequence[Message], params: SamplingParams) -> Completion:
        """The model's reply to ``messages``."""
        ...

    async def close(self) -> None:
        """Release threads, connections and files. Calls in flight fail."""
        ...


class EmptyReply(ModelUnavailable):
    """A whole reply without any content where the model says that it has finished. Often a fault of the server; a
    model that has nothing to say does it, too, so after some tries it counts."""

    def __init__(self, message: str, completion: Completion) -> None:
        super().__init__(message, kind="malformed")
        self.completion = completion


def request_key(fingerprint: str, messages: Sequence[Message], params: SamplingParams) -> str:
    """Stable SHA-256 of a call. A greedy call has one answer, so its ``sample_index`` is left out.

    What is hashed is the JSON of ``[fingerprint, messages, parameters]`` with sorted keys; put together here, because
    every call comes by and ``json.dumps`` takes longer than the rest.
    """
    plain = ", ".join(f'{{"content": {_quoted(m["content"])}, "role": {_quoted(m["role"])}}}' for m in messages)
    drawn = _drawn(params.temperature, params.max_tokens, params.top_p, tuple(params.stop), params.sample_index)
    return hashlib.sha256(f"[{_quoted(fingerprint)}, [{plain}], {drawn}]".encode()).hexdigest()


@lru_cache(maxsize=256, typed=True)  # typed: 1 and 1.0 are written differently
def _drawn(temperature: float, max_tokens: int, top_p: float, stop: tuple[str, ...], sample_index: int) -> str:
    """How a reply is drawn, as JSON."""
    drawn = {"temperature": temperature, "max_tokens": max_tokens, "stop": stop}
    if temperature > 0:
        drawn |= {"sample_index": sample_index, "top_p": top_p}
    return json.dumps(drawn, sort_keys=True)


def request_seed(seed: int, fingerprint: str, messages: Sequence[Message], sample_index: int) -> int:
    """63-bit seed of one sampled call: the same for the same call whatever else runs beside it."""
    plain = [[m["role"], m["content"]] for m in messages]
    digest = hashlib.sha256(json.dumps([seed, fingerprint, plain, sample_index]).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
