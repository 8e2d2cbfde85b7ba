"""Programs at an HTTP endpoint of the SandboxFusion kind (``POST /run_code``), such as one on another machine.

What it stops: whatever the endpoint's own isolation stops, which this backend can neither see nor prove; the host sends
the program and its limits, and nothing of its own: no file, no environment, no key. A program that never ends, floods
its output, kills its interpreter, or returns what can't be shown has an ``error``, also where the endpoint cuts off
what was printed. What comes back is read as plain data, up to a fixed size.

What it does not stop: anything inside the endpoint (in SandboxFusion's default setting programs there share a network,
a file system and a user, and see each other); a program that lies in its own result, whose marker it can find; whoever
reads or changes the traffic, if the address isn't https or local. Programs can't call out (``supports_calls``).

API: SandboxFusion's documentation, "Run Code".
"""

from __future__ import annotations

import inspect
import json
import secrets
from types import TracebackType
from typing import Any, Self

import httpx

from aflow_verl.errors import SandboxUnavailable, UserError
from aflow_verl.sandbox import remote_program
from aflow_verl.sandbox.base import HostCall
from aflow_verl.sandbox.limits import Limits
from aflow_verl.sandbox.process import values
from aflow_verl.sandbox.result import RunResult, one_line
from aflow_verl.sandbox.source import program_source

INTERPRETER_MB = 256
"""Added to a program's own memory: endpoints limit the address space of the process, the interpreter's included."""
START_S = 1.0
"""Added to a program's own time, for starting its interpreter."""
MAX_REPLY_BYTES = 16 << 20
_RETRYABLE = frozenset({408, 425, 429})
_BUSY_OR_BROKEN = 500


class RemoteSandbox:
    """``url``: the endpoint's address, without ``/run_code``. ``timeout_s``: for a reply, beyond the program's time;
    ``connections``: programs in flight, at most.
    """

    name = "remote"
    supports_calls = False

    def __init__(self, url: str, *, timeout_s: float = 30.0, connections: int = 16) -> None:
        self._timeout_s = timeout_s
        if not url.startswith(("http://", "https://")):
            raise UserError(f"sandbox.url: {url!r} is no address; it looks like http://localhost:8080")
        # pool=None: a program waits for its turn as long as that takes.
        self._client = httpx.AsyncClient(
            base_url=url.removesuffix("/run_code"),
            limits=httpx.Limits(max_connections=connections),
            timeout=httpx.Timeout(timeout_s, pool=None),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Idempotent; nothing of ours runs at the endpoint."""
        await self._client.aclose()

    async def run_program(self, code: str, limits: Limits, *, call: HostCall | None = None) -> RunResult:
        """See ``base.ProgramSandbox``."""
        if call is not None:
            raise SandboxUnavailable("programs at a remote endpoint can't call the host", retryable=False)
        try:
            source = program_source(code)
            marker = secrets.token_hex(16)
            request = _request(source, marker, limits)
        except ValueError as error:
            return RunResult(error=one_line(f"{type(error).__name__}: {error}"))
        return _result(await self._post(request, limits), marker, limits)

    async def _post(self, request: bytes, limits: Limits) -> dict[str, Any]:
        """The endpoint's reply, if it ran the program. Raises SandboxUnavailable."""
        if self._client.is_closed:
            raise SandboxUnavailable("the sandbox is not open", retryable=False)
        patience = httpx.Timeout(self._timeout_s, read=self._timeout_s + limits.seconds + START_S, pool=None)
        headers = {"content-type": "application/json"}
        try:
            async with self._client.stream(
                "POST", "/run_code", content=request, headers=headers, timeout=patience
            ) as response:
                body = await _bounded_body(response)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise SandboxUnavailable(f"the remote sandbox failed: {one_line(repr(error))}") from error
        if response.status_code != httpx.codes.OK:
            retryable = response.status_code >= _BUSY_OR_BROKEN or response.status_code in _RETRYABLE
            text = one_line(body.decode(errors="replace"), 100)
            message = f"the remote sandbox answered {response.status_code}: {text}"
            raise SandboxUnavailable(message, retryable=retryable)
        return _reply(body)


async def _bounded_body(response: httpx.Response) -> bytes:
    body = bytearray()
    async for part in response.aiter_bytes():
        body += part
        if len(body) > MAX_REPLY_BYTES:
            raise SandboxUnavailable("the remote sandbox answered with too much")
    return bytes(body)


def _request(source: str, marker: str, limits: Limits) -> bytes:
    """Raises ValueError for text that can't be sent."""
    script = f"{inspect.getsource(remote_program)}\n\nrun({source!r}, {marker!r}, {limits.max_output_chars})\n"
    return json.dumps(
        {
            "code": script,
            "language": "python",
            "run_timeout": limits.seconds + START_S,
            "memory_limit_MB": limits.memory_mb + INTERPRETER_MB,
        }
    ).encode()


def _reply(body: bytes) -> dict[str, Any]:
    """What the endpoint says of the run. Raises SandboxUnavailable if it could not run it, or says something else."""
    try:
        reply = values.loads(body)
        status, message, run = reply["status"], reply.get("message"), reply.get("run_result")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise SandboxUnavailable("the remote sandbox answered with something else") from error
    if status not in ("Success", "Failed") or not isinstance(run, dict) or run.get("status") == "Error":
        raise SandboxUnavailable(f"the remote sandbox failed: {one_line(str(message or status))}")
    return run


def _result(run: dict[str, Any], marker: str, limits: Limits) -> RunResult:
    """``run``: the ``run_result`` of a reply."""
    if run.get("status") == "TimeLimitExceeded":
        return RunResult(error=f"TimeoutError: longer than {limits.seconds:g} s")
    _, found, line = str(run.get("stdout") or "").rpartition(f"\n{marker}")
    if not found:
        status = run.get("return_code")
        return RunResult(error=f"the program ended its process (exit code {status}), or printed too much")
    try:
        outcome: Any = values.loads(line.partition("\n")[0].encode(errors="replace"))
        value = values.decode(outcome["value"], limits.max_output_chars)
        stdout, error = outcome["stdout"], outcome["error"]
        if not isinstance(stdout, str) or not isinstance(error, str | None):
            raise values.Unreadable("no text")
    except (ValueError, TypeError, KeyError):
        return RunResult(error="the program sent no readable result")
    return RunResult(value, stdout[: limits.max_output_chars], None if error is None else one_line(error) or "an error")
