"""What the clients of HTTP APIs share: failures as ours, replies read with care, parameters that a server refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aflow_verl.errors import AflowVerlError, InvalidAction, LostReply, ModelUnavailable, UserError
from aflow_verl.models.headers import wait_asked_for
from aflow_verl.models.prices import Price
from aflow_verl.types import Message, Usage

NEVER_SENT = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol"})
"""The HTTP library's errors before a request has left."""
_TOO_LONG = re.compile(r"too long|maximum context length|context_length_exceeded|context window|too many tokens")
_NOT_ANSWERED = re.compile(r"content_filter|content_policy|content management policy")
_KINDS = {408: "timeout", 409: "other", 429: "rate_limited", 503: "overloaded", 529: "overloaded"}


@dataclass(frozen=True, slots=True)
class Request:
    """Arguments of an SDK's call, and the names of those among them that it could do without."""

    arguments: Mapping[str, Any]
    optional: frozenset[str]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Whom a client asks, as messages name it."""

    kind: str
    model: str
    where: str = "models.executor"
    """The recipe's key of the model."""
    key_variable: str = ""
    """The environment variable that the API key came from; empty for none."""

    def __str__(self) -> str:
        return f"{self.kind} ({self.model})"


def failure_of(status: int, message: str, headers: Mapping[str, str], endpoint: Endpoint) -> AflowVerlError:
    """A refusal as one of our errors.

    UserError: key, name of the model, credit, a parameter; nothing that is sent again unchanged can succeed.
    InvalidAction: this prompt is too long or not allowed. ModelUnavailable: all that may pass.
    """
    text = f"{endpoint}: {' '.join(message.split())[:500]}"
    again = headers.get("x-should-retry")
    if "insufficient_quota" in message or "credit balance" in message:
        return UserError(f"{text}; the account has no credit left")
    if status in (401, 403):
        return UserError(f"{text}; check {endpoint.key_variable or f'{endpoint.where}.key_variable'}")
    if status == 404:
        return UserError(f"{text}; check {endpoint.where}.model and {endpoint.where}.base_url")
    if status == 413 or (status in (400, 422) and _TOO_LONG.search(message)):
        return InvalidAction("prompt_too_long", text)
    if status == 400 and _NOT_ANSWERED.search(message):
        return InvalidAction("prompt_refused", text)
    if status < 500 and status not in _KINDS and again != "true":
        return UserError(text)
    return ModelUnavailable(
        text,
        kind=_KINDS.get(status, "server_error" if status >= 500 else "other"),
        retryable=again != "false",
        retry_after_s=wait_asked_for(headers, datetime.now(UTC)),
    )


def lost(error: Exception, endpoint: Endpoint) -> ModelUnavailable:
    """A connection that failed: before the request had left, or while its reply was awaited."""
    cause = error.__cause__ or error
    names = {kind.__name__ for kind in type(cause).__mro__}
    text = f"{endpoint}: {error} ({type(cause).__name__}: {cause})"
    if names & NEVER_SENT:
        return ModelUnavailable(text, kind="connection")
    return LostReply(text, kind="timeout" if "TimeoutException" in names else "connection")


def read_object(content: bytes, endpoint: Endpoint) -> Mapping[str, Any]:
    """A reply's body. Raises LostReply (``malformed``) where it is no JSON object."""
    try:
        body = json.loads(content)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise malformed(endpoint, f"no JSON object: {content[:80]!r}")
    return body


def malformed(endpoint: Endpoint, what: str) -> LostReply:
    return LostReply(f"{endpoint}: unreadable reply, {what}", kind="malformed")


def usage_of(
    body: Mapping[str, Any], prompt: int, completion: int, cache_read: int, cache_write: int, price: Price | None
) -> Usage:
    """Token counts with their cost; of unknown cost where the server sends no counts."""
    known = isinstance(body.get("usage"), Mapping)
    parts = {"cache_read": cache_read, "cache_write": cache_write}
    cost = price.cost(prompt, completion, **parts) if price is not None and known else None
    return Usage(prompt, completion, cost, cache_read, cache_write)


def count(body: Mapping[str, Any], *path: str) -> int:
    """A token count somewhere in a reply; 0 where the server gives none."""
    value: Any = body
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, int) and value > 0 else 0


def plain_turns(messages: Collection[Message]) -> list[dict[str, str]]:
    """Messages as an API takes them: valid UTF-8, none of them blank.

    Raises InvalidAction where nothing is asked; APIs refuse that, and it is the workflow's doing.
    """
    turns = [{"role": m["role"], "content": valid_text(m["content"])} for m in messages if m["content"].strip()]
    if not any(turn["role"] != "system" for turn in turns):
        raise InvalidAction("empty_prompt", "the model is asked nothing: every message is blank")
    return turns


def valid_text(text: str) -> str:
    """Without lone surrogates, which can be neither sent nor stored."""
    return text.encode("utf-8", "replace").decode()


def cut(text: str, stop: Collection[str]) -> str:
    """``text`` before the first stop string."""
    return text[: min((place for s in stop if s and (place := text.find(s)) >= 0), default=len(text))]


def refused(message: str, sent: Collection[str]) -> set[str]:
    """Those of the parameters sent that a refusal mentions."""
    return {name for name in sent if re.search(rf"\b{re.escape(name)}\b", message)}
