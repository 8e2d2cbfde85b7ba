"""Claude through the official SDK, which does the retries that the API's headers ask for.

Departure: newer models refuse ``temperature`` and ``top_p``; the first refusal is remembered, and the call and all
later ones go without. Replies of such a model are never deterministic; the cache still repeats the first one.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import anthropic

from aflow_verl.config import KEY_VARIABLE
from aflow_verl.errors import AflowVerlError, InvalidAction, ModelUnavailable, RecipeError, UserError
from aflow_verl.models.prices import load_prices, price_of
from aflow_verl.types import Completion, Message, SamplingParams, Usage

FORMAT_VERSION = 1


class AnthropicClient:
    """One Claude model. ``http_client``, one of the SDK's own kind, stands in for the network in tests."""

    def __init__(
        self,
        model: str,
        *,
        timeout_s: float = 120.0,
        retries: int = 5,
        api_key: str | None = None,
        http_client: Any = None,
    ) -> None:
        """Raises ``RecipeError`` where there is no key."""
        key = api_key or os.environ.get(KEY_VARIABLE)
        if not key:
            raise RecipeError(
                f"models.executor.kind: anthropic needs the environment variable {KEY_VARIABLE}, which is not set; "
                "set it or choose another executor"
            )
        self.fingerprint = f"anthropic:{model}:v{FORMAT_VERSION}"
        self._model = model
        self._price = price_of(model, load_prices())
        self._takes_sampling = True
        self._sdk = anthropic.AsyncAnthropic(
            api_key=key, timeout=timeout_s, max_retries=retries, http_client=http_client
        )

    async def complete(self, messages: Sequence[Message], params: SamplingParams) -> Completion:
        """The reply.

        Raises ``ModelUnavailable`` (API down, overloaded, limited), ``UserError`` (key, model name, credit) or
        ``InvalidAction`` (a prompt that the API refuses for its length).
        """
        try:
            reply = await self._create(messages, params)
        except anthropic.APIError as error:
            raise classify(error, self._model) from error
        text = "".join(block.text for block in reply.content if block.type == "text")
        return Completion(
            text=_cut(text, params.stop),
            usage=self._usage(reply.usage),
            finish_reason="length" if reply.stop_reason == "max_tokens" else "stop",
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._sdk.close()

    async def _create(self, messages: Sequence[Message], params: SamplingParams) -> Any:
        if self._takes_sampling:
            try:
                return await self._sdk.messages.create(**request(self._model, messages, params, sampling=True))
            except anthropic.BadRequestError as error:
                if not _refuses_sampling(error):
                    raise
                self._takes_sampling = False
        return await self._sdk.messages.create(**request(self._model, messages, params, sampling=False))

    def _usage(self, usage: Any) -> Usage:
        cost = self._price.cost(usage.input_tokens, usage.output_tokens) if self._price else None
        return Usage(usage.input_tokens, usage.output_tokens, cost)


def request(model: str, messages: Sequence[Message], params: SamplingParams, *, sampling: bool) -> dict[str, Any]:
    """The arguments of a Messages call: system messages apart, blank stop strings left out (the API refuses them)."""
    body: dict[str, Any] = {
        "model": model,
        "max_tokens": params.max_tokens,
        "messages": [{"role": m["role"], "content": m["content"]} for m in messages if m["role"] != "system"],
    }
    if system := "\n\n".join(m["content"] for m in messages if m["role"] == "system"):
        body["system"] = system
    if stop := [s for s in params.stop if s.strip()]:
        body["stop_sequences"] = stop
    if sampling:
        # Not arguments of the SDK any more; older models still take them.
        body["extra_body"] = {
            "temperature": params.temperature,
            **({"top_p": params.top_p} if params.top_p < 1 else {}),
        }
    return body


def classify(error: anthropic.APIError, model: str) -> AflowVerlError:
    """An SDK error as one of ours; see ``AnthropicClient.complete``."""
    status = error.status_code if isinstance(error, anthropic.APIStatusError) else None
    message = f"anthropic ({model}): {error.message}"
    if status in (401, 403):
        return UserError(f"{message}; check {KEY_VARIABLE}")
    if status == 404:
        return UserError(f"{message}; check models.executor.model")
    if status == 413 or (status == 400 and "too long" in error.message):
        return InvalidAction("prompt_too_long", message)
    if status is not None and status < 500 and status not in (408, 409, 429):
        return UserError(message)
    return ModelUnavailable(message)


def _refuses_sampling(error: anthropic.BadRequestError) -> bool:
    return any(name in error.message for name in ("temperature", "top_p"))


def _cut(text: str, stop: tuple[str, ...]) -> str:
    """``text`` before the first stop string."""
    return text[: min((place for s in stop if (place := text.find(s)) >= 0), default=len(text))]
