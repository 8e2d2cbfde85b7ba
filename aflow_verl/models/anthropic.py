"""Claude through the official SDK, one try a call: retries are made in one place, ``steady.SteadyClient``.

Departures: newer models refuse ``temperature`` and ``top_p``; what is refused once is remembered and left out of all
later calls. Replies of such a model are never deterministic; the cache still repeats the first one. Newer models also
think before they answer, and thoughts count as output; short replies are asked for without.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import anthropic

from aflow_verl.models import api
from aflow_verl.models.client import EmptyReply
from aflow_verl.models.prices import Price
from aflow_verl.types import Completion, Message, SamplingParams, Usage

FORMAT_VERSION = 1
"""Part of the fingerprint: raise it when prompts are rendered or replies are cut differently."""
CACHEABLE_CHARS = 4096
"""A shorter beginning is not marked for the API's prompt cache. Its minimum is 512 to 4,096 tokens by model, of some
four characters each; where the model's own minimum is higher, the API ignores the mark."""
THINKING_ABOVE = 4096
"""Replies of at most so many tokens are asked for without thinking, where the model lets us: thoughts would leave no
room for the answer."""
WITHOUT_THINKING = ("disabled", "between_tools")
"""What models call it; some take neither."""
ENDINGS_WITHOUT_TEXT = ("refusal", "max_tokens", "stop_sequence")
"""Reasons to stop that explain an empty reply."""


class AnthropicClient:
    """One Claude model. ``http_client``, one of the SDK's own kind, stands in for the network in tests."""

    def __init__(
        self,
        endpoint: api.Endpoint,
        *,
        api_key: str,
        base_url: str | None = None,
        timeout_s: float = 120.0,
        prompt_caching: bool = True,
        price: Price | None = None,
        http_client: Any = None,
    ) -> None:
        """``base_url`` None: the variable ANTHROPIC_BASE_URL, else the vendor's own."""
        self._sdk = anthropic.AsyncAnthropic(
            api_key=api_key, base_url=base_url, timeout=timeout_s, max_retries=0, http_client=http_client
        )
        url = self._sdk.base_url
        server = "" if url.host == "api.anthropic.com" else f"@{url}".rstrip("/")
        self.fingerprint = f"anthropic:{endpoint.model}{server}:v{FORMAT_VERSION}"
        self._endpoint = endpoint
        self._price = price
        self._without = frozenset() if prompt_caching else frozenset({"cache_control"})

    async def complete(self, messages: Sequence[Message], params: SamplingParams) -> Completion:
        """The reply.

        Raises ``ModelUnavailable`` (API down, overloaded, limited, unreadable), ``UserError`` (key, model name, credit)
        or ``InvalidAction`` (a prompt that the API refuses).
        """
        while True:
            asked = request(self._endpoint.model, messages, params, self._without)
            try:
                response = await self._sdk.messages.with_raw_response.create(**asked.arguments)
            except anthropic.APIStatusError as error:
                refused = api.refused(error.message, asked.optional) if error.status_code == 400 else set()
                if not refused:
                    headers = error.response.headers
                    raise api.failure_of(error.status_code, error.message, headers, self._endpoint) from error
                self._without |= _names(refused, asked.arguments)
            except anthropic.APIError as error:
                raise api.lost(error, self._endpoint) from error
            else:
                return self._read(response.http_response.content, params)

    async def close(self) -> None:
        """Close the connections."""
        await self._sdk.close()

    def _read(self, content: bytes, params: SamplingParams) -> Completion:
        body = api.read_object(content, self._endpoint)
        blocks = body.get("content")
        if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
            raise api.malformed(self._endpoint, "no list of content")
        text = "".join(str(block.get("text", "")) for block in blocks if block.get("type") == "text")
        ended = body.get("stop_reason")
        completion = Completion(
            text=api.cut(api.valid_text(text), params.stop),
            usage=usage(body, self._price),
            finish_reason="length" if ended == "max_tokens" else "stop",
        )
        if not text and ended not in ENDINGS_WITHOUT_TEXT:
            raise EmptyReply(f"{self._endpoint}: a reply without content", completion)
        return completion


def request(model: str, messages: Sequence[Message], params: SamplingParams, without: Collection[str]) -> api.Request:
    """The arguments of a Messages call: system messages apart, blank stop strings left out (the API refuses them)."""
    turns = api.plain_turns(messages)
    system = "\n\n".join(turn["content"] for turn in turns if turn["role"] == "system")
    dialogue: list[dict[str, Any]] = [dict(turn) for turn in turns if turn["role"] != "system"]
    sampling: dict[str, float] = {"temperature": params.temperature}
    if params.top_p < 1:
        sampling["top_p"] = params.top_p
    # Not arguments of the SDK any more; older models still take them.
    extra = {name: value for name, value in sampling.items() if name not in without}
    arguments: dict[str, Any] = {"model": model, "max_tokens": params.max_tokens, "extra_body": extra}
    optional = set(extra)
    thinking = next((name for name in WITHOUT_THINKING if name not in without), None)
    if thinking and params.max_tokens <= THINKING_ABOVE:
        arguments["thinking"] = {"type": thinking}
        optional.add("thinking")
    if "cache_control" not in without and _is_long(system, dialogue):
        system = _mark_shared(system, dialogue)
        optional.add("cache_control")
    if stop := [s for s in params.stop if s.strip()]:
        arguments["stop_sequences"] = stop
    if system:
        arguments["system"] = system
    return api.Request({**arguments, "messages": dialogue}, frozenset(optional))


def usage(body: Any, price: Price | None) -> Usage:
    """Tokens and cost. The API counts the prompt in three parts: read from its cache, written to it, and the rest."""
    read = api.count(body, "usage", "cache_read_input_tokens")
    written = api.count(body, "usage", "cache_creation_input_tokens")
    prompt = api.count(body, "usage", "input_tokens") + read + written
    return api.usage_of(body, prompt, api.count(body, "usage", "output_tokens"), read, written, price)


def _names(refused: Collection[str], arguments: Mapping[str, Any]) -> set[str]:
    """What to leave out from now on: of ``thinking`` the value that was refused, for another may be taken."""
    return {arguments["thinking"]["type"] if name == "thinking" else name for name in refused}


def _is_long(system: str, dialogue: Sequence[Any]) -> bool:
    """Whether the beginning that calls may share, all but the last turn, is worth the API's cache."""
    return len(system) + sum(len(turn["content"]) for turn in dialogue[:-1]) >= CACHEABLE_CHARS


def _mark_shared(system: str, dialogue: list[dict[str, Any]]) -> Any:
    """Put the mark at the end of the shared beginning; returns the system prompt, which may carry it."""
    if len(dialogue) == 1:
        return [_marked(system)]
    dialogue[-2]["content"] = [_marked(dialogue[-2]["content"])]
    return system


def _marked(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}
