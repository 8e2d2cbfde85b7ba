"""The Claude client against a stand-in for the network."""

import json
from collections.abc import Callable
from typing import Any

import anthropic
import pytest
from anthropic import _base_client

from aflow_verl.errors import InvalidAction, LostReply, ModelUnavailable, UserError
from aflow_verl.models.anthropic import AnthropicClient
from aflow_verl.models.api import Endpoint
from aflow_verl.models.client import EmptyReply
from aflow_verl.models.prices import Price
from aflow_verl.types import Message, SamplingParams, Usage

http = _base_client.httpx2
"""The HTTP library that the installed SDK uses."""
ASK: list[Message] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2+2?"}]
GREEDY = SamplingParams()
LONG = "Rules of the house. " * 300
PRICE = Price(1.0, 5.0, 1.25, 0.1)


def reply(text: str | None = "4", stop_reason: str | None = "end_turn", **more: Any) -> Any:
    body = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [] if text is None else [{"type": "text", "text": text}],
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {"input_tokens": 1000, "output_tokens": 100},
    }
    return http.Response(200, content=json.dumps({**body, **more}).encode())


def refusal(status: int, message: str = "no", **headers: str) -> Any:
    content = {"type": "error", "error": {"type": "x", "message": message}}
    return http.Response(status, json=content, headers={k.replace("_", "-"): v for k, v in headers.items()})


def client(handler: Callable[[Any], Any], model: str = "claude-haiku-4-5", **more: Any) -> AnthropicClient:
    transport = anthropic.DefaultAsyncHttpxClient(transport=http.MockTransport(handler))
    endpoint = Endpoint("anthropic", model, "models.editor", "THE_KEY")
    return AnthropicClient(endpoint, api_key="test-key", http_client=transport, **{"price": PRICE, **more})


async def asked(messages: list[Message], params: SamplingParams = GREEDY, **more: Any) -> dict[str, Any]:
    """The body of the request that a call makes."""
    seen: list[dict[str, Any]] = []

    def handler(request: Any) -> Any:
        seen.append(json.loads(request.content))
        return reply()

    one = client(handler, **more)
    await one.complete(messages, params)
    await one.close()
    return seen[0]


async def test_request() -> None:
    params = SamplingParams(max_tokens=7, temperature=0.7, top_p=0.9, stop=("\n\n", "END"))
    assert await asked(ASK, params) == {
        "model": "claude-haiku-4-5",
        "max_tokens": 7,
        "messages": [{"role": "user", "content": "2+2?"}],
        "system": "Be brief.",
        "stop_sequences": ["END"],
        "temperature": 0.7,
        "top_p": 0.9,
        "thinking": {"type": "disabled"},
    }
    assert "thinking" not in await asked(ASK, SamplingParams(max_tokens=4097))


async def test_reply() -> None:
    one = client(lambda request: reply("4\n\nProblem: more"))
    completion = await one.complete(ASK, SamplingParams(stop=("\n\n",)))
    assert (completion.text, completion.finish_reason) == ("4", "stop")
    assert completion.usage == Usage(1000, 100, pytest.approx(1000 * 1e-6 + 100 * 5e-6))
    assert one.fingerprint == "anthropic:claude-haiku-4-5:v1"


async def test_another_server_is_another_model() -> None:
    one = client(lambda request: reply(), base_url="http://gateway:8080/claude/")
    assert one.fingerprint == "anthropic:claude-haiku-4-5@http://gateway:8080/claude:v1"


async def test_cut_off_reply_and_unknown_price() -> None:
    completion = await client(lambda request: reply(stop_reason="max_tokens"), price=None).complete(
        ASK, SamplingParams()
    )
    assert completion.finish_reason == "length"
    assert completion.usage.cost_usd is None
    uncounted = await client(lambda request: reply(usage=None)).complete(ASK, SamplingParams())
    assert uncounted.usage == Usage(0, 0, None)


async def test_a_long_shared_beginning_is_marked_for_the_apis_cache() -> None:
    mark = {"cache_control": {"type": "ephemeral"}}
    system: Message = {"role": "system", "content": LONG}
    question: Message = {"role": "user", "content": "2+2?"}
    body = await asked([system, question])
    assert body["system"] == [{"type": "text", "text": LONG, **mark}]
    assert body["messages"] == [question]
    dialogue: list[Message] = [
        system,
        question,
        {"role": "assistant", "content": "4"},
        {"role": "user", "content": "?"},
    ]
    body = await asked(dialogue)
    assert body["system"] == LONG
    assert body["messages"][1]["content"] == [{"type": "text", "text": "4", **mark}]
    assert "cache_control" not in json.dumps(await asked(ASK))
    assert "cache_control" not in json.dumps(await asked([system, question], prompt_caching=False))
    assert "cache_control" not in json.dumps(await asked([{"role": "user", "content": LONG}]))  # nothing is shared


async def test_cached_tokens_are_counted_and_priced() -> None:
    counts = {
        "input_tokens": 10,
        "cache_read_input_tokens": 2000,
        "cache_creation_input_tokens": 300,
        "output_tokens": 100,
    }
    completion = await client(lambda request: reply(usage=counts)).complete(ASK, SamplingParams())
    cost = (10 * 1.0 + 2000 * 0.1 + 300 * 1.25 + 100 * 5.0) / 1e6
    assert completion.usage == Usage(2310, 100, pytest.approx(cost), cache_read_tokens=2000, cache_write_tokens=300)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("temperature", "`temperature` is deprecated for this model."),
        ("cache_control", "system.0.cache_control: Extra inputs are not permitted"),
    ],
)
async def test_a_parameter_that_is_refused_is_left_out_from_then_on(name: str, message: str) -> None:
    seen: list[bool] = []

    def handler(request: Any) -> Any:
        sends = f'"{name}"' in request.content.decode()
        seen.append(sends)
        return refusal(400, message) if sends else reply()

    one = client(handler)
    for _ in range(2):
        completion = await one.complete([{"role": "system", "content": LONG}, *ASK], SamplingParams())
        assert completion.text == "4"
    assert seen == [True, False, False]


async def test_a_model_that_always_thinks_is_asked_as_it_likes() -> None:
    seen: list[Any] = []

    def handler(request: Any) -> Any:
        seen.append(json.loads(request.content).get("thinking"))
        return reply() if seen[-1] is None else refusal(400, "thinking.type: not supported for this model")

    one = client(handler)
    for _ in range(2):
        assert (await one.complete(ASK, SamplingParams())).text == "4"
    assert seen == [{"type": "disabled"}, {"type": "between_tools"}, None, None]


async def test_thoughts_are_no_part_of_the_answer() -> None:
    blocks = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "4"}]
    assert (await client(lambda request: reply(content=blocks)).complete(ASK, SamplingParams())).text == "4"


@pytest.mark.parametrize(
    ("status", "message", "error", "kind"),
    [
        (401, "invalid x-api-key", UserError, "check THE_KEY"),
        (403, "not allowed", UserError, "check THE_KEY"),
        (404, "model: claude-x", UserError, r"check models\.editor\.model"),
        (400, "Your credit balance is too low", UserError, "no credit left"),
        (400, "max_tokens: 10 > 5", UserError, "max_tokens"),
        (422, "nonsense", UserError, "nonsense"),
        (400, "prompt is too long: 300000 tokens", InvalidAction, "prompt_too_long"),
        (400, "blocked by content_filter", InvalidAction, "prompt_refused"),
        (413, "request too large", InvalidAction, "prompt_too_long"),
        (408, "slow", ModelUnavailable, "timeout"),
        (429, "rate limit", ModelUnavailable, "rate_limited"),
        (500, "oops", ModelUnavailable, "server_error"),
        (503, "busy", ModelUnavailable, "overloaded"),
        (529, "overloaded", ModelUnavailable, "overloaded"),
    ],
)
async def test_refusals_are_classified(status: int, message: str, error: type[Exception], kind: str) -> None:
    with pytest.raises(error, match=message.split(":")[0]) as caught:
        await client(lambda request: refusal(status, message)).complete(ASK, SamplingParams())
    assert "\n" not in str(caught.value)
    if isinstance(caught.value, ModelUnavailable | InvalidAction):
        assert caught.value.kind == kind
        assert not isinstance(caught.value, LostReply)
    else:
        caught.match(kind)


async def test_the_servers_headers_are_read() -> None:
    with pytest.raises(ModelUnavailable) as caught:
        await client(lambda request: refusal(429, retry_after="12")).complete(ASK, SamplingParams())
    assert (caught.value.retry_after_s, caught.value.retryable) == (12.0, True)
    with pytest.raises(ModelUnavailable) as caught:
        await client(lambda request: refusal(500, x_should_retry="false")).complete(ASK, SamplingParams())
    assert not caught.value.retryable
    with pytest.raises(ModelUnavailable) as caught:
        await client(lambda request: refusal(418, x_should_retry="true")).complete(ASK, SamplingParams())
    assert caught.value.kind == "other"


@pytest.mark.parametrize(
    ("raised", "kind", "may_be_billed"),
    [
        (http.ConnectError("refused"), "connection", False),
        (http.ConnectTimeout("slow"), "connection", False),
        (http.ReadError("reset"), "connection", True),
        (http.RemoteProtocolError("incomplete body"), "connection", True),
        (http.ReadTimeout("slow"), "timeout", True),
    ],
)
async def test_lost_connections(raised: Exception, kind: str, may_be_billed: bool) -> None:
    def handler(request: Any) -> Any:
        raise raised

    with pytest.raises(ModelUnavailable) as caught:
        await client(handler).complete(ASK, SamplingParams())
    assert (caught.value.kind, isinstance(caught.value, LostReply)) == (kind, may_be_billed)


@pytest.mark.parametrize(
    "content",
    [b"", b'{"id": "msg', b"<html>busy</html>", b"[]", b'"4"', b'{"content": "4"}', b'{"content": [4]}', b"\xff"],
)
async def test_unreadable_replies_are_lost(content: bytes) -> None:
    headers = {"content-type": "application/json"}
    with pytest.raises(LostReply, match="unreadable") as caught:
        await client(lambda request: http.Response(200, content=content, headers=headers)).complete(
            ASK, SamplingParams()
        )
    assert caught.value.kind == "malformed"


async def test_an_empty_reply_counts_where_a_reason_is_given() -> None:
    for reason in ("refusal", "max_tokens", "stop_sequence"):
        assert (await client(lambda request, r=reason: reply(None, r)).complete(ASK, SamplingParams())).text == ""
    for reason in ("end_turn", None):
        with pytest.raises(EmptyReply) as caught:
            await client(lambda request, r=reason: reply(None, r)).complete(ASK, SamplingParams())
        assert caught.value.completion.usage.prompt_tokens == 1000


async def test_blank_and_broken_texts() -> None:
    with pytest.raises(InvalidAction, match="blank") as caught:
        await asked([{"role": "system", "content": "Be brief."}, {"role": "user", "content": " \n"}])
    assert caught.value.kind == "empty_prompt"
    body = await asked([{"role": "user", "content": "a\ud800b"}])
    assert body["messages"][0]["content"] == "a?b"
    completion = await client(lambda request: reply("x\ud800")).complete(ASK, SamplingParams())
    assert completion.text == "x?"
