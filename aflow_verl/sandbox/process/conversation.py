"""One run as the host sees it: hand over the program, answer its calls, take its result, all within its limits.

A slot is the right to compute. A program that waits for the host gives its slot back and takes one again before it
goes on, so programs that wait for each other never wait for slots; its clock stands still meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import math
import signal
from typing import Any

from aflow_verl.errors import SandboxUnavailable
from aflow_verl.sandbox.base import HostCall
from aflow_verl.sandbox.limits import Limits
from aflow_verl.sandbox.process import frames, values
from aflow_verl.sandbox.process.channel import Channel
from aflow_verl.sandbox.result import RunResult, one_line

_READY_S = 30.0
"""For forking a process and shutting its jail: 5 ms, on a machine that isn't starved."""
_HINTS = {
    signal.SIGKILL: "out of memory or CPU time, or it cut the channel to its sandbox",
    signal.SIGXCPU: "out of CPU time",
    signal.SIGSEGV: "nested too deeply, or a fault in compiled code",
    signal.SIGSYS: "a system call of another architecture",
}


async def shut_in(channel: Channel, limits: Limits) -> None:
    """Until the process is in its jail. Raises SandboxUnavailable."""
    order = {"memory_bytes": limits.memory_mb << 20, "cpu_s": math.ceil(limits.seconds) + 1}
    try:
        async with asyncio.timeout(_READY_S):
            await channel.send(frames.LIMITS, json.dumps(order).encode())
            kind, reason = await channel.receive({frames.READY: 0, frames.FAILED: frames.MAX_REASON_BYTES})
    except (OSError, EOFError, TimeoutError) as error:
        raise SandboxUnavailable(f"a process of the sandbox did not start ({type(error).__name__})") from error
    if kind == frames.FAILED:
        raise SandboxUnavailable(f"a process of the sandbox could not be jailed: {one_line(reason.decode())}")


async def converse(
    channel: Channel, code: str, limits: Limits, call: HostCall | None, slots: asyncio.Semaphore
) -> RunResult | None:
    """The program's result; None if its process ended without one. Raises what ``call`` raises."""
    left, calls = limits.seconds, 0
    kind, payload = frames.PROGRAM, _request(code, limits, call is not None)
    longest = {frames.RESULT: frames.max_result_bytes(limits.max_output_chars), frames.CALL: frames.MAX_CALL_BYTES}
    if call is None:
        del longest[frames.CALL]
    loop = asyncio.get_running_loop()
    while True:
        async with slots:
            began = loop.time()
            try:
                async with asyncio.timeout(left):
                    await channel.send(kind, payload)
                    kind, payload = await channel.receive(longest)
            except TimeoutError:
                return RunResult(error=f"TimeoutError: longer than {limits.seconds:g} s")
            except (OSError, EOFError):
                return None
            except frames.BrokenFrame:
                return RunResult(error="the program wrote to the channel of its sandbox")
            left -= loop.time() - began
        if kind == frames.RESULT:
            return _result(payload, limits)
        assert call is not None
        calls += 1
        if calls > limits.max_calls:
            return RunResult(error=f"more than {limits.max_calls} calls of the host")
        kind, payload = frames.ANSWER, await _answer(call, payload)


def how_it_ended(status: int) -> RunResult:
    """For a process that ended without a result. ``status``: exit code, negative for a signal."""
    if status >= 0:
        return RunResult(error=f"the program ended its process with exit code {status}")
    number = -status
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    hint = _HINTS.get(number)  # type: ignore[call-overload]
    return RunResult(error=f"the program's process was ended by {name}" + (f" ({hint})" if hint else ""))


def _request(code: str, limits: Limits, calls: bool) -> bytes:
    request = {
        "code": code,
        "calls": calls,
        "max_output_chars": limits.max_output_chars,
        "max_depth": limits.max_depth,
    }
    return json.dumps(request).encode()


async def _answer(call: HostCall, payload: bytes) -> bytes:
    """Bytes that are no text are replaced: who calls for the program gets text, whatever it sent."""
    try:
        text = frames.to_text(payload)
    except UnicodeDecodeError:
        text = payload.decode("utf-8", "replace")
    answer = frames.to_bytes(await call(text))
    if len(answer) > frames.MAX_CALL_BYTES:
        raise ValueError(f"the host answered a program with more than {frames.MAX_CALL_BYTES} bytes")
    return answer


def _result(payload: bytes, limits: Limits) -> RunResult:
    try:
        outcome: Any = values.loads(payload)
        value = values.decode(outcome["value"], limits.max_output_chars)
        stdout, error = outcome["stdout"], outcome["error"]
        if not isinstance(stdout, str) or not isinstance(error, str | None):
            raise values.Unreadable("no text")
    except (ValueError, TypeError, KeyError, RecursionError):
        return RunResult(error="the program sent no readable result")
    stdout = values.printable(stdout[: limits.max_output_chars])
    return RunResult(value, stdout, None if error is None else one_line(values.printable(error)) or "an error")
