"""The Claude client against a stand-in for the network."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import pytest
from anthropic import _base_client

from aflow_verl.errors import InvalidAction, ModelUnavailable, RecipeError, UserError
from aflow_verl.models.anthropic import KEY_VARIABLE, AnthropicClient
from aflow_verl.models.prices import Price, load_prices, price_of
from aflow_verl.types import Message, SamplingParams

http = _base_client.httpx2 if hasattr(_base_client, "httpx2") else _base_client.httpx
"""The HTTP library that the installed SDK uses."""
ASK: list[Message] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2+2?"}]


def reply(text: str = "4", stop_reason: str = "end_turn") -> Any:
    return http.Response(
        200,
        json={
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude",
            "content": [{"type": "text", "text": text}],
            "stop_reason": stop_reason,
            "stop_sequence": None,
            "usage": {"input_tokens": 1000, "output_tokens": 100},
        },
    )


def refusal(status: int, message: str = "no") -> Any:
    return http.Response(
        status, json={"type": "error", "error": {"type": "x", "message": message}}, headers={"retry-after-ms": "1"}
    )


def client(handler: Callable[[Any], Any], model: str = "claude-haiku-4-5", retries: int = 0) -> AnthropicClient:
    transport = anthropic.DefaultAsyncHttpxClient(transport=http.MockTransport(handler))
    return AnthropicClient(model, retries=retries, api_key="test-key", http_client=transport)


async def test_request_and_reply() -> None:
    seen: list[dict[str, Any]] = []

    def handler(request: Any) -> Any:
        seen.append(json.loads(request.content))
        return reply("4\n\nProblem: more", "end_turn")

    one = client(handler)
    completion = await one.complete(ASK, SamplingParams(max_tokens=7, temperature=0.7, stop=("\n\n", "END")))
    assert seen == [
        {
            "model": "claude-haiku-4-5",
            "max_tokens": 7,
            "messages": [{"role": "user", "content": "2+2?"}],
            "system": "Be brief.",
            "stop_sequences": ["END"],
            "temperature": 0.7,
        }
    ]
    assert completion.text == "4"
    assert completion.finish_reason == "stop"
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (1000, 100)
    assert completion.usage.cost_usd == pytest.approx(1000 * 1e-6 + 100 * 5e-6)
    assert one.fingerprint == "anthropic:claude-haiku-4-5:v1"
    await one.close()


async def test_cut_off_reply_and_unknown_price() -> None:
    one = client(lambda request: reply(stop_reason="max_tokens"), model="claude-nobody-9")
    completion = await one.complete(ASK, SamplingParams())
    assert completion.finish_reason == "length"
    assert completion.usage.cost_usd is None


async def test_a_model_without_sampling_parameters_is_asked_without() -> None:
    seen: list[bool] = []

    def handler(request: Any) -> Any:
        sends = "temperature" in json.loads(request.content)
        seen.append(sends)
        return refusal(400, "`temperature` is deprecated for this model.") if sends else reply()

    one = client(handler)
    for _ in range(2):
        assert (await one.complete(ASK, SamplingParams())).text == "4"
    assert seen == [True, False, False]


@pytest.mark.parametrize(
    ("status", "message", "error"),
    [
        (401, "invalid x-api-key", UserError),
        (403, "not allowed", UserError),
        (404, "model: claude-x", UserError),
        (400, "Your credit balance is too low", UserError),
        (400, "prompt is too long: 300000 tokens", InvalidAction),
        (413, "request too large", InvalidAction),
        (429, "rate limit", ModelUnavailable),
        (500, "oops", ModelUnavailable),
        (529, "overloaded", ModelUnavailable),
    ],
)
async def test_errors_are_classified(status: int, message: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=message.split(":")[0]) as caught:
        await client(lambda request: refusal(status, message)).complete(ASK, SamplingParams())
    if isinstance(caught.value, ModelUnavailable):
        assert caught.value.retryable


async def test_a_lost_connection_is_retryable() -> None:
    def handler(request: Any) -> Any:
        raise http.ConnectError("gone")

    with pytest.raises(ModelUnavailable):
        await client(handler).complete(ASK, SamplingParams())


async def test_the_sdk_retries_itself() -> None:
    answers: Iterator[Any] = iter([refusal(529), refusal(429), reply()])
    one = client(lambda request: next(answers), retries=2)
    assert (await one.complete(ASK, SamplingParams())).text == "4"


def test_no_key_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    with pytest.raises(RecipeError, match=KEY_VARIABLE) as caught:
        AnthropicClient("claude-haiku-4-5")
    assert "\n" not in str(caught.value)


def test_prices_match_exact_names_and_dates_only() -> None:
    prices = load_prices()
    assert price_of("claude-haiku-4-5-20251001", prices) == Price(1.0, 5.0)
    assert price_of("claude-opus-4", prices) is None
    assert price_of("claude-haiku-5-5", prices) is None
    assert "claude-haiku-5-5" in prices
