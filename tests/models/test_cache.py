"""The reply cache: what is asked twice is answered once."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from aflow_verl.errors import ModelUnavailable, StorageError
from aflow_verl.models.cache import CachedClient
from aflow_verl.types import Message, SamplingParams, Usage

GREEDY = SamplingParams()


def ask(text: str) -> list[Message]:
    return [{"role": "user", "content": text}]


async def test_a_greedy_call_is_answered_once_across_processes(tmp_path: Path, scripted: Any) -> None:
    inner = scripted(lambda text, params: text.upper())
    first = CachedClient(inner, tmp_path / "calls.sqlite")
    fresh = await first.complete(ask("a"), GREEDY)
    assert (fresh.text, fresh.cached) == ("A", False)
    await first.close()

    second = CachedClient(inner, tmp_path / "calls.sqlite")
    stored = await second.complete(ask("a"), SamplingParams(sample_index=3))
    assert (stored.text, stored.cached, stored.usage) == ("A", True, Usage(10, 5, 0.01))
    assert len(inner.asked) == 1
    await second.close()


async def test_sampled_calls_are_kept_by_index_and_parameters(tmp_path: Path, scripted: Any) -> None:
    inner = scripted(lambda text, params: f"{params.sample_index}/{params.temperature}")
    client = CachedClient(inner, tmp_path / "calls.sqlite")
    calls = [SamplingParams(temperature=t, sample_index=i) for t in (0.5, 0.7) for i in range(2)]
    texts = [(await client.complete(ask("a"), p)).text for p in calls + calls]
    assert texts[:4] == texts[4:] == ["0/0.5", "1/0.5", "0/0.7", "1/0.7"]
    assert len(inner.asked) == 4
    await client.close()


async def test_equal_calls_in_flight_share_one(tmp_path: Path, scripted: Any) -> None:
    inner = scripted(lambda text, params: text)
    release = asyncio.Event()
    answer_at_once = inner.complete

    async def slow(messages: list[Message], params: SamplingParams) -> Any:
        await release.wait()
        return await answer_at_once(messages, params)

    inner.complete = slow
    client = CachedClient(inner, tmp_path / "calls.sqlite")
    waiting = [asyncio.create_task(client.complete(ask("a"), GREEDY)) for _ in range(5)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    release.set()
    replies = await asyncio.gather(*waiting[1:])
    assert [reply.text for reply in replies] == ["a"] * 4
    assert len(inner.asked) == 1
    await client.close()


async def test_failures_are_not_kept(tmp_path: Path, scripted: Any) -> None:
    replies = iter([ModelUnavailable("down"), "up"])

    def answer(text: str, params: SamplingParams) -> str:
        reply = next(replies)
        if isinstance(reply, Exception):
            raise reply
        return reply

    client = CachedClient(scripted(answer), tmp_path / "calls.sqlite")
    with pytest.raises(ModelUnavailable):
        await client.complete(ask("a"), GREEDY)
    assert (await client.complete(ask("a"), GREEDY)).text == "up"
    await client.close()


async def test_another_fingerprint_is_another_call(tmp_path: Path, scripted: Any) -> None:
    inner = scripted(lambda text, params: inner.fingerprint)
    client = CachedClient(inner, tmp_path / "calls.sqlite")
    for weights in ("step1", "step2", "step1"):
        inner.fingerprint = weights
        assert client.fingerprint == weights
        assert (await client.complete(ask("a"), GREEDY)).text == weights
    assert len(inner.asked) == 2
    await client.close()


async def test_a_reply_during_which_the_model_changed_is_nobodys(tmp_path: Path, scripted: Any) -> None:
    def answer(text: str, params: SamplingParams) -> str:
        inner.fingerprint = f"step{len(inner.asked)}"
        return text

    inner = scripted(answer)
    inner.fingerprint = "step0"
    client = CachedClient(inner, tmp_path / "calls.sqlite")
    await client.complete(ask("a"), GREEDY)
    inner.fingerprint = "step0"
    await client.complete(ask("a"), GREEDY)
    assert len(inner.asked) == 2
    await client.close()


async def test_a_reply_that_could_not_be_written_is_not_paid_again(
    tmp_path: Path, scripted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = scripted(lambda text, params: text)
    client = CachedClient(inner, tmp_path / "calls.sqlite")
    keep, full = client._replies.put, True

    async def put(key: str, reply: Any) -> None:
        if full:
            raise StorageError("disk full")
        await keep(key, reply)

    monkeypatch.setattr(client._replies, "put", put)
    for _ in range(2):
        with pytest.raises(StorageError):
            await client.complete(ask("a"), GREEDY)
    full = False
    assert (await client.complete(ask("a"), GREEDY)).text == "a"
    assert (await client.complete(ask("a"), GREEDY)).cached
    assert len(inner.asked) == 1
    await client.close()


async def test_closing_ends_the_calls_in_flight(tmp_path: Path, scripted: Any) -> None:
    inner = scripted(lambda text, params: text)

    async def hang(messages: list[Message], params: SamplingParams) -> Any:
        await asyncio.Event().wait()

    inner.complete = hang
    client = CachedClient(inner, tmp_path / "calls.sqlite")
    call = asyncio.create_task(client.complete(ask("a"), GREEDY))
    await asyncio.sleep(0)
    await client.close()
    with pytest.raises(asyncio.CancelledError):
        await call
