"""What every model client offers: messages and parameters in, text and usage out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Protocol

from aflow_verl.types import Completion, Message, SamplingParams


class ModelClient(Protocol):
    """An executor model. Calls may run concurrently; raises ``ModelUnavailable`` where no answer could be had."""

    fingerprint: str
    """Model, revision and prompt-format version: equal fingerprints mean interchangeable replies (a cache key part)."""

    async def complete(self, messages: Sequence[Message], params: SamplingParams) -> Completion:
        """The model's reply to ``messages``."""
        ...

    async def close(self) -> None:
        """Release threads, connections and files. Calls in flight fail."""
        ...


def request_key(fingerprint: str, messages: Sequence[Message], params: SamplingParams) -> str:
    """Stable SHA-256 of a call. A greedy call has one answer, so its ``sample_index`` is left out."""
    drawn = asdict(params)
    if params.temperature <= 0:
        drawn.pop("sample_index")
        drawn.pop("top_p")
    plain = [{"role": m["role"], "content": m["content"]} for m in messages]
    return hashlib.sha256(json.dumps([fingerprint, plain, drawn], sort_keys=True).encode()).hexdigest()


def request_seed(seed: int, fingerprint: str, messages: Sequence[Message], sample_index: int) -> int:
    """63-bit seed of one sampled call: the same for the same call whatever else runs beside it."""
    plain = [[m["role"], m["content"]] for m in messages]
    digest = hashlib.sha256(json.dumps([seed, fingerprint, plain, sample_index]).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
