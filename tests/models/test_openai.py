"""The client of OpenAI-compatible servers against a stand-in for the network."""

import json
from collections.abc import Callable
from typing import Any

import openai
import pytest
from anthropic import _base_client

from aflow_verl.errors import InvalidAction, LostReply, ModelUnavailable, UserError
from aflow_verl.models.api import Endpoint
from aflow_verl.models.openai import OpenAIClient
from aflow_verl.models.prices import Price
from aflow_verl.types import Message, SamplingParams, Usage

http = _base_client.httpx2
"""The HTTP library that both SDKs use."""
ASK: list[Message] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2+2?"}]
SERVER = "http://localhost:8000/v1"
PRICE = Price(2.0, 8.0, 2.0, 0.5)


def reply(text: str | None = "4", finish_reason: str = "stop", **more: Any) -> Any:
    message = {"role": "assistant", "content": text}
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
    }
    return http.Response(200, json={**body, **more})


def refusal(status: int, message: str, **more: Any) -> Any:
    return http.Response(status, json={"error": {"message": message, "type": "x", **more}})


def client(handler: Callable[[Any], Any], **more: Any) -> OpenAIClient:
    transport = openai.DefaultAsyncHttpxClient(transport=http.MockTransport(handler))
    endpoint = Endpoint("openai", "some-model", "models.executor", "OPENAI_API_KEY")
    return OpenAIClient(endpoint, http_client=transport, **{"base_url": SERVER, "price": PRICE, **more})


async def asked(params: SamplingParams, **more: Any) -> tuple[dict[str, Any], str]:
    """The body and the key of the request that a call makes."""
    seen: list[Any] = []

    def handler(request: Any) -> Any:
        seen.append((json.loads(request.content), request.headers["authorization"]))
        return reply()

    one = client(handler, **more)
    await one.complete(ASK, params)
    await one.close()
    return seen[0]


async def test_request_to_a_server_without_keys() -> None:
    body, key = await asked(SamplingParams(max_tokens=7, stop=("\n\n",)))
    assert key == "Bearer none"
    assert body == {"model": "some-model", "messages": ASK, "max_tokens": 7, "temperature": 0.0, "stop": ["\n\n"]}


async def test_sampled_calls_have_a_seed_of_their_own() -> None:
    bodies = [
        (await asked(SamplingParams(temperature=0.7, top_p=0.9, sample_index=index), seed=seed))[0]
        for index, seed in ((0, 0), (1, 0), (0, 1), (0, 0))
    ]
    assert bodies[0]["top_p"] == 0.9
    seeds = [body["seed"] for body in bodies]
    assert seeds[0] == seeds[3]
    assert len(set(seeds)) == 3
    assert all(0 <= seed < 2**31 for seed in seeds)


async def test_the_vendor_is_asked_with_its_new_name_for_the_length() -> None:
    one = client(lambda request: reply(), base_url="https://api.openai.com/v1")
    assert one.fingerprint == "openai:some-model:v1"
    body, key = await asked(SamplingParams(max_tokens=7), base_url="https://api.openai.com/v1", api_key="k")
    assert (body["max_completion_tokens"], "max_tokens" in body, key) == (7, False, "Bearer k")


async def test_reply() -> None:
    one = client(lambda request: reply("4\n\nProblem: more"))
    completion = await one.complete(ASK, SamplingParams(stop=("\n\n",)))
    assert (completion.text, completion.finish_reason) == ("4", "stop")
    assert completion.usage == Usage(1000, 100, pytest.approx((1000 * 2 + 100 * 8) / 1e6))
    assert one.fingerprint == "openai:some-model@http://localhost:8000/v1:v1"


async def test_cached_tokens_missing_counts_and_length() -> None:
    counts = {"prompt_tokens": 1000, "completion_tokens": 0, "prompt_tokens_details": {"cached_tokens": 800}}
    cached = await client(lambda request: reply(usage=counts)).complete(ASK, SamplingParams())
    assert cached.usage == Usage(1000, 0, pytest.approx((200 * 2 + 800 * 0.5) / 1e6), cache_read_tokens=800)
    uncounted = await client(lambda request: reply(None, "length", usage=None)).complete(ASK, SamplingParams())
    assert (uncounted.text, uncounted.finish_reason, uncounted.usage) == ("", "length", Usage(0, 0, None))


@pytest.mark.parametrize(
    ("name", "instead", "told"),
    [
        (
            "max_tokens",
            "max_completion_tokens",
            {"message": "'max_tokens' is not supported. Use 'max_completion_tokens'"},
        ),
        ("temperature", None, {"message": "Unsupported value", "param": "temperature"}),
        ("seed", None, {"message": "seed: Extra inputs are not permitted"}),
        ("stop", None, {"message": "Unsupported parameter: 'stop'"}),
    ],
)
async def test_a_parameter_that_is_refused_is_left_out_from_then_on(
    name: str, instead: str | None, told: dict[str, str]
) -> None:
    bodies: list[dict[str, Any]] = []

    def handler(request: Any) -> Any:
        bodies.append(json.loads(request.content))
        return refusal(400, **told) if name in bodies[-1] else reply("4 END")

    one = client(handler)
    for _ in range(2):
        completion = await one.complete(ASK, SamplingParams(temperature=0.5, max_tokens=9, stop=(" END",)))
        assert completion.text == "4"
    assert [name in body for body in bodies] == [True, False, False]
    assert all(instead is None or body[instead] == 9 for body in bodies[1:])


async def test_a_length_that_is_refused_under_both_names_is_the_users_to_read() -> None:
    def handler(request: Any) -> Any:
        name = "max_tokens" if b"max_tokens" in request.content else "max_completion_tokens"
        return refusal(400, f"{name} is too large: 9")

    with pytest.raises(UserError, match="too large"):
        await client(handler).complete(ASK, SamplingParams(max_tokens=9))


@pytest.mark.parametrize(
    ("status", "told", "error", "match"),
    [
        (401, {"message": "wrong key"}, UserError, "check OPENAI_API_KEY"),
        (404, {"message": "no such model"}, UserError, r"models\.executor\.model"),
        (429, {"message": "You exceeded your quota", "code": "insufficient_quota"}, UserError, "no credit left"),
        (429, {"message": "slow down"}, ModelUnavailable, "slow down"),
        (400, {"message": "maximum context length is 8192 tokens"}, InvalidAction, "context length"),
        (400, {"message": "no", "code": "context_length_exceeded"}, InvalidAction, "context_length"),
        (502, {"message": "bad gateway"}, ModelUnavailable, "bad gateway"),
    ],
)
async def test_refusals_are_classified(status: int, told: dict[str, str], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        await client(lambda request: refusal(status, **told)).complete(ASK, SamplingParams())


async def test_lost_connections() -> None:
    for raised, billed in ((http.ConnectError("refused"), False), (http.ReadError("reset"), True)):

        def handler(request: Any, raised: Exception = raised) -> Any:
            raise raised

        with pytest.raises(ModelUnavailable) as caught:
            await client(handler).complete(ASK, SamplingParams())
        assert isinstance(caught.value, LostReply) == billed


@pytest.mark.parametrize(
    "content", [b"", b'{"choices": []}', b'{"choices": [4]}', b'{"choices": [{"message": null}]}', b"{}", b"<html>"]
)
async def test_unreadable_replies_are_lost(content: bytes) -> None:
    with pytest.raises(LostReply, match="unreadable"):
        await client(lambda request: http.Response(200, content=content)).complete(ASK, SamplingParams())
