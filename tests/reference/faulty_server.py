"""A model server on the loopback that fails as often as it is told: Anthropic's Messages and OpenAI's chat dialect.

Replies are a function of the messages alone. Which try of which messages fails, and how, is a hash of (seed, messages,
number of the try), so a run repeats whatever the order in which calls arrive.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

FAULTS = ("429", "429_wait", "500", "503", "529", "hang", "cut_off", "malformed", "empty", "not_json", "closed")
"""429_wait says in ``retry-after`` how long to wait; cut_off promises more bytes than it sends; malformed is half of a
JSON text; empty has no content; not_json is a page of HTML with status 200; closed ends within the headers."""
STATUS = {"429": 429, "429_wait": 429, "500": 500, "503": 503, "529": 529}

Reply = Callable[[list[dict[str, str]]], str]


class FaultyServer:
    """``async with FaultyServer(reply, rate=0.3) as server``: then ``server.base_url``, and what it has counted."""

    def __init__(
        self,
        reply: Reply,
        *,
        rate: float = 0.0,
        faults: Sequence[str] = FAULTS,
        seed: int = 0,
        wait_s: float = 0.02,
        hang_s: float = 5.0,
        latency_s: float = 0.0,
        key: str | None = None,
        refuse: Sequence[str] = (),
    ) -> None:
        """``rate``: share of tries that fail. ``hang_s``: how long a try hangs before its connection is closed.
        ``key``: any other API key gets 401. ``refuse``: parameters that get 400."""
        self.reply = reply
        self.rate = rate
        self.faults = tuple(faults)
        self.key = key
        self.counts: Counter[str] = Counter()
        """Requests by how they ended: ``ok``, ``401``, ``400`` or the name of a fault."""
        self.requests: Counter[str] = Counter()
        """Tries by ``messages_key``."""
        self.answered: Counter[str] = Counter()
        """Whole replies sent, by ``messages_key``."""
        self.bodies: list[dict[str, Any]] = []
        """What was asked, in order of arrival."""
        self.most_at_once = 0
        self._at_once = 0
        self._seed = seed
        self._wait_s = wait_s
        self._hang_s = hang_s
        self._latency_s = latency_s
        self._refuse = tuple(refuse)
        self._open: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> FaultyServer:
        self._server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    @property
    def base_url(self) -> str:
        """For the Anthropic client; OpenAI's wants ``openai_url``."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def openai_url(self) -> str:
        return f"{self.base_url}/v1"

    # ---- one connection ---------------------------------------------------------------------------------------------

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            while await self._request(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client has gone, or the server is being closed
        finally:
            self._open.discard(task)
            writer.close()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; False where the connection ends with it."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        path = head.split(" ", 2)[1]
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head.split("\r\n")[1:])
        }
        body = json.loads(await reader.readexactly(int(headers.get("content-length", 0))))
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            return await self._answer(writer, path, headers, body)
        finally:
            self._at_once -= 1

    async def _answer(
        self, writer: asyncio.StreamWriter, path: str, headers: dict[str, str], body: dict[str, Any]
    ) -> bool:
        self.bodies.append(body)
        openai = path.endswith("/chat/completions")
        # The newer SDKs of Anthropic send the key as a bearer's, too.
        given = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
        if self.key is not None and given != self.key:
            return await self._refusal(writer, "401", 401, "invalid x-api-key")
        for name in self._refuse:
            if name in body or f'"{name}"' in json.dumps(body):
                return await self._refusal(writer, "400", 400, f"{name}: Extra inputs are not permitted")
        messages = plain_messages(body)
        key = messages_key(messages)
        fault = self._fault(key, self.requests[key])
        self.requests[key] += 1
        self.counts[fault or "ok"] += 1
        if self._latency_s:
            await asyncio.sleep(self._latency_s)
        content = json.dumps((openai_body if openai else anthropic_body)(self.reply(messages), messages)).encode()
        if fault is not None:
            return await self._fail(writer, fault, content, openai)
        await send(writer, 200, content)
        self.answered[key] += 1
        return True

    def _fault(self, key: str, tried: int) -> str | None:
        if not self.faults or uniform(self._seed, key, tried) >= self.rate:
            return None
        return self.faults[int(uniform(self._seed, "which", key, tried) * len(self.faults))]

    async def _refusal(self, writer: asyncio.StreamWriter, kind: str, status: int, message: str) -> bool:
        self.counts[kind] += 1
        await send(writer, status, error_body(message))
        return True

    async def _fail(self, writer: asyncio.StreamWriter, fault: str, content: bytes, openai: bool) -> bool:
        if fault in STATUS:
            extra = {"retry-after-ms": str(int(self._wait_s * 1000))} if fault == "429_wait" else {}
            await send(writer, STATUS[fault], error_body(fault), extra)
            return True
        broken: dict[str, Callable[[], Awaitable[None]]] = {
            "hang": lambda: asyncio.sleep(self._hang_s),
            "cut_off": lambda: send(writer, 200, content[: len(content) // 2], {"content-length": str(len(content))}),
            "malformed": lambda: send(writer, 200, content[: len(content) // 2]),
            "empty": lambda: send(writer, 200, empty_body(content, openai)),
            "not_json": lambda: send(writer, 200, b"<html>busy</html>", {"content-type": "text/html"}),
            "closed": lambda: send_raw(writer, b"HTTP/1.1 200 OK\r\ncontent-type: appl"),
        }
        await broken[fault]()
        return fault in ("malformed", "empty", "not_json")


async def send(
    writer: asyncio.StreamWriter, status: int, content: bytes, headers: dict[str, str] | None = None
) -> None:
    """One HTTP response."""
    fields = {"content-type": "application/json", "content-length": str(len(content)), **(headers or {})}
    lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    await send_raw(writer, "\r\n".join(lines).encode() + content)


async def send_raw(writer: asyncio.StreamWriter, content: bytes) -> None:
    writer.write(content)
    await writer.drain()


def plain_messages(body: dict[str, Any]) -> list[dict[str, str]]:
    """Role and text of each message, in either dialect; Anthropic's system prompt comes first."""
    given = [{"role": "system", "content": body["system"]}] if body.get("system") else []
    return [{"role": m["role"], "content": plain_text(m["content"])} for m in [*given, *body["messages"]]]


def plain_text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(block["text"] for block in content)


def messages_key(messages: Sequence[Any]) -> str:
    """Names what was asked, without parameters."""
    plain = [[m["role"], m["content"]] for m in messages]
    return hashlib.sha256(json.dumps(plain).encode()).hexdigest()[:16]


def anthropic_body(text: str, messages: Sequence[dict[str, str]]) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": words(messages), "output_tokens": len(text.split())},
    }


def openai_body(text: str, messages: Sequence[dict[str, str]]) -> dict[str, Any]:
    asked, said = words(messages), len(text.split())
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said},
    }


def empty_body(content: bytes, openai: bool) -> bytes:
    return json.dumps({**json.loads(content), "choices" if openai else "content": []}).encode()


def error_body(message: str) -> bytes:
    return json.dumps({"type": "error", "error": {"type": "some_error", "message": message}}).encode()


def words(messages: Sequence[dict[str, str]]) -> int:
    return sum(len(m["content"].split()) for m in messages)


def uniform(*parts: Any) -> float:
    """A number in [0, 1), a function of ``parts``."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big") / 2**64
