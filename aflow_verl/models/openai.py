"""Any server that speaks OpenAI's chat completions (vLLM, SGLang, Ollama, the vendor's own), through the official SDK.

One try a call: retries are made in ``steady.SteadyClient``. Departure: servers differ in the parameters that they take;
what is refused once is remembered and left out of all later calls (``max_tokens`` and ``max_completion_tokens`` stand
in for one another).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import openai

from aflow_verl.models import api
from aflow_verl.models.client import request_seed
from aflow_verl.models.prices import Price
from aflow_verl.types import Completion, Message, SamplingParams, Usage

FORMAT_VERSION = 1
"""Part of the fingerprint: raise it when prompts are rendered or replies are cut differently."""
VENDOR_HOST = "api.openai.com"
NO_KEY = "none"
"""Sent where the server wants no key; the SDK insists on one."""
LENGTH_NAMES = ("max_tokens", "max_completion_tokens")
"""The old name, which every server but the vendor's takes, and the new one."""


class OpenAIClient:
    """One model of a server. ``http_client``, one of the SDK's own kind, stands in for the network in tests."""

    def __init__(
        self,
        endpoint: api.Endpoint,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout_s: float = 120.0,
        price: Price | None = None,
        seed: int = 0,
        http_client: Any = None,
    ) -> None:
        """``base_url`` None: the variable OPENAI_BASE_URL, else the vendor's own. ``seed`` goes into sampled calls."""
        self._sdk = openai.AsyncOpenAI(
            api_key=api_key or NO_KEY, base_url=base_url, timeout=timeout_s, max_retries=0, http_client=http_client
        )
        url = self._sdk.base_url
        vendor = url.host == VENDOR_HOST
        server = "" if vendor else f"@{url}".rstrip("/")
        self.fingerprint = f"openai:{endpoint.model}{server}:v{FORMAT_VERSION}"
        self._endpoint = endpoint
        self._price = price
        self._seed = seed
        self._lengths = LENGTH_NAMES[::-1] if vendor else LENGTH_NAMES
        self._without: frozenset[str] = frozenset()

    async def complete(self, messages: Sequence[Message], params: SamplingParams) -> Completion:
        """The reply.

        Raises ``ModelUnavailable`` (server down, overloaded, limited, unreadable), ``UserError`` (key, model name,
        credit) or ``InvalidAction`` (a prompt that the server refuses).
        """
        seed = request_seed(self._seed, self.fingerprint, messages, params.sample_index) % 2**31
        while True:
            asked = request(self._endpoint.model, messages, params, seed, self._lengths, self._without)
            try:
                response = await self._sdk.chat.completions.with_raw_response.create(**asked.arguments)
            except openai.APIStatusError as error:
                refused = api.refused(_told(error), asked.optional) if error.status_code in (400, 422) else set()
                if not refused:
                    headers = error.response.headers
                    raise api.failure_of(error.status_code, _told(error), headers, self._endpoint) from error
                self._without |= refused
            except openai.APIError as error:
                raise api.lost(error, self._endpoint) from error
            else:
                return self._read(response.http_response.content, params)

    async def close(self) -> None:
        """Close the connections."""
        await self._sdk.close()

    def _read(self, content: bytes, params: SamplingParams) -> Completion:
        body = api.read_object(content, self._endpoint)
        choices = body.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        message = choice.get("message") if isinstance(choice, Mapping) else None
        if not isinstance(choice, Mapping) or not isinstance(message, Mapping):
            raise api.malformed(self._endpoint, "no choice")
        text = message.get("content")  # None where the model refuses
        return Completion(
            text=api.cut(api.valid_text(text), params.stop) if isinstance(text, str) else "",
            usage=usage(body, self._price),
            finish_reason="length" if choice.get("finish_reason") == "length" else "stop",
        )


def request(
    model: str,
    messages: Sequence[Message],
    params: SamplingParams,
    seed: int,
    lengths: Sequence[str],
    without: Collection[str],
) -> api.Request:
    """The arguments of a chat completion, the maximum length under the first of the names ``lengths`` that is not
    refused. Only a sampled call has a seed."""
    length = next((name for name in lengths if name not in without), lengths[0])
    given: dict[str, Any] = {length: params.max_tokens, "temperature": params.temperature}
    if params.temperature > 0:
        given["seed"] = seed
    if params.top_p < 1:
        given["top_p"] = params.top_p
    if params.stop:
        given["stop"] = list(params.stop)
    # A length that is refused under both names is sent all the same: the refusal is the user's to read.
    sent = {name: value for name, value in given.items() if name == length or name not in without}
    optional = frozenset(name for name in sent if name not in without)
    return api.Request({"model": model, "messages": api.plain_turns(messages), **sent}, optional)


def usage(body: Any, price: Price | None) -> Usage:
    """Tokens and cost; ``prompt_tokens`` contains those that were cached."""
    read = api.count(body, "usage", "prompt_tokens_details", "cached_tokens")
    written = api.count(body, "usage", "prompt_tokens_details", "cache_write_tokens")
    prompt = api.count(body, "usage", "prompt_tokens")
    return api.usage_of(body, prompt, api.count(body, "usage", "completion_tokens"), read, written, price)


def _told(error: openai.APIStatusError) -> str:
    """A refusal's message, code and parameter, in which servers name what they don't like."""
    return " ".join(str(part) for part in (error.message, error.code, error.param) if part)
