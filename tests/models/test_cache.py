"""The reply cache: what is asked twice is answered once."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from aflow_verl.errors import ModelUnavailable, UserError
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


def test_a_broken_file_is_named(tmp_path: Path, scripted: Any) -> None:
    (tmp_path / "calls.sqlite").write_text("this is no database, and longer than a header " * 10)
    with pytest.raises(UserError, match=r"calls\.sqlite"):
        CachedClient(scripted(lambda text, params: text), tmp_path / "calls.sqlite")
