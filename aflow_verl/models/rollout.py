"""The policy as its own executor, on the rollout servers of the training: a cluster needs no second model.

The weights change with every training step, and the servers sleep while the policy is updated. So the fingerprint names
the weights, calls wait while nothing is served, and a call that meets other weights than it was made for fails: replies
of different weights never stand under one name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aflow_verl.errors import ModelUnavailable
from aflow_verl.models.api import cut
from aflow_verl.models.client import request_seed
from aflow_verl.types import Completion, Message, SamplingParams, Usage

FORMAT_VERSION = 1
"""Part of the fingerprint: raise it when prompts are rendered or replies are cut differently."""

Generate = Callable[[list[int], dict[str, Any]], Awaitable[list[int]]]
"""Prompt token ids and sampling parameters under vLLM's names -> reply token ids. Batching is the server's business.
Raises ModelUnavailable."""


class RolloutClient:
    """See the module's docstring. Use from one event loop; nothing is answered before the first ``serve``."""

    def __init__(self, tokenizer: Any, name: str, *, context_tokens: int, seed: int = 0) -> None:
        """``name``: the policy's, for the fingerprint. ``context_tokens``: of prompt and reply, at most."""
        self._tokenizer = tokenizer
        self._name = name
        self._context_tokens = context_tokens
        self._seed = seed
        self._generate: Generate | None = None
        self._weights = "none"
        self._open = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._in_flight = 0

    @property
    def fingerprint(self) -> str:
        """Of the weights that are served, or were served last."""
        return f"rollout:{self._name}:{self._weights}:v{FORMAT_VERSION}"

    def serve(self, generate: Generate, weights: str) -> None:
        """From now on ``generate`` answers, with the weights of this name."""
        self._generate, self._weights = generate, weights
        self._open.set()

    async def pause(self) -> None:
        """Calls from now on wait for ``serve``; returns when those under way have ended."""
        self._open.clear()
        await self._idle.wait()

    async def complete(self, messages: Sequence[Message], params: SamplingParams) -> Completion:
        """The reply. An over-long prompt loses its beginning, as with a local model.

        Raises ``ModelUnavailable`` where the servers fail, and where the weights change while the call waits.
        """
        fingerprint = self.fingerprint
        await self._open.wait()
        if self.fingerprint != fingerprint or self._generate is None:
            raise ModelUnavailable("the policy has new weights since this call was made", retryable=False)
        prompt_ids = self._prompt_ids(messages, params)
        seed = request_seed(self._seed, fingerprint, messages, params.sample_index) % 2**31
        drawn = {
            "max_tokens": params.max_tokens,
            "temperature": params.temperature,
            "top_p": params.top_p,
            "seed": seed,
        }
        self._in_flight += 1
        self._idle.clear()
        try:
            reply_ids = await self._generate(prompt_ids, drawn)
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()
        return self._completion(prompt_ids, reply_ids[: params.max_tokens], params)

    async def close(self) -> None:
        """The servers belong to the training; here is nothing to release."""

    def _prompt_ids(self, messages: Sequence[Message], params: SamplingParams) -> list[int]:
        text = self._tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
        ids = self._tokenizer.encode(text, add_special_tokens=False)
        return list(ids[-max(1, self._context_tokens - params.max_tokens) :])

    def _completion(self, prompt_ids: list[int], reply_ids: list[int], params: SamplingParams) -> Completion:
        whole = str(self._tokenizer.decode(reply_ids, skip_special_tokens=True))
        text = cut(whole, params.stop)  # verl's servers take no stop strings: they speak tokens
        ended = len(text) < len(whole) or reply_ids[-1:] == [self._tokenizer.eos_token_id]
        return Completion(
            text=text,
            usage=Usage(prompt_tokens=len(prompt_ids), completion_tokens=len(reply_ids), cost_usd=0.0),
            finish_reason="stop" if ended or len(reply_ids) < params.max_tokens else "length",
        )
