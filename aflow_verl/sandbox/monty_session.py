"""One run in a Monty session: its limits, its calls out, and what its faults look like."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pydantic_monty as pm

from aflow_verl.sandbox.limits import Limits
from aflow_verl.sandbox.monty_source import Names, written_by_the_author
from aflow_verl.sandbox.result import one_line

Call = Callable[..., Awaitable[Any]]
"""The host's end of a function that sandboxed code can call."""

OS_POLICY: pm.OSPolicy = {"sleep": "zero", "random_start": {"seed": 0}}
"""Sleeping costs nothing, and randomness repeats, so that equal runs have equal (cacheable) calls."""
_UNFIT: Mapping[str, pm.ExcType] = {
    "TypeError": "TypeError",
    "ValueError": "ValueError",
    "UnicodeEncodeError": "UnicodeEncodeError",
}
"""What Monty says of a value that it has no equal of."""
_UNSUPPORTED = "The monty syntax parser does not yet support "


def resource_limits(limits: Limits) -> pm.ResourceLimits:
    """``limits`` as Monty counts them."""
    return {
        "max_feed_duration_secs": limits.seconds,
        "max_memory": limits.memory_mb << 20,
        "max_recursion_depth": limits.max_depth,
        # A call is one round trip, or two where calls run together; whoever answers them counts the calls themselves.
        "max_suspensions": 4 * limits.max_calls + 16,
    }


async def run_to_the_end(
    session: pm.AsyncMontySession,
    source: str,
    printed: pm.CollectString,
    *,
    inputs: Mapping[str, Any],
    external: Mapping[str, Call],
    waited_for: Mapping[str, Call],
) -> Any:
    """The value of ``source``. Calls of ``external`` give an awaitable; for those of ``waited_for`` the code waits.

    What a call raises, the code sees.
    """
    snapshot = await session.feed_start(
        source, inputs=dict(inputs), external_lookup={**external, **waited_for}, print_callback=printed
    )
    while not isinstance(snapshot, pm.MontyComplete):
        call = waited_for.get(snapshot.function_name) if isinstance(snapshot, pm.AsyncFunctionSnapshot) else None
        if call is not None and isinstance(snapshot, pm.AsyncFunctionSnapshot):
            snapshot = await _resumed(snapshot, await _answer(call, snapshot))
        else:
            snapshot = await snapshot.resume_auto()
    return snapshot.output


async def _answer(call: Call, snapshot: pm.AsyncFunctionSnapshot) -> pm.ExternalResult:
    try:
        return {"return_value": await call(*snapshot.args)}
    except Exception as refusal:
        return {"exception": refusal}


async def _resumed(snapshot: pm.AsyncFunctionSnapshot, answer: pm.ExternalResult) -> pm.AsyncSnapshot:
    """The code goes on with the answer; with an exception where that can't be brought inside."""
    try:
        return await snapshot.resume(answer)
    except pm.MontyRuntimeError as fault:
        kind, _, message = fault.display(format="type-msg").partition(": ")
        if fault.traceback() or kind not in _UNFIT:
            raise  # the code's own, or a limit's
        return await snapshot.resume({"exc_type": _UNFIT[kind], "message": message})


def readable(fault: pm.MontySyntaxError | pm.MontyRuntimeError, names: Names) -> str:
    """``ExceptionType: message``, with the line of source that raised it where that is known."""
    text = one_line(fault.display(format="type-msg"))
    if _UNSUPPORTED in text:
        return f"the interpreter has no {text.partition(_UNSUPPORTED)[2].removeprefix('the ')}"
    frames = [(frame.line, frame.source_line) for frame in fault.traceback() if frame.source_line]
    line = written_by_the_author(frames, names)
    return f"{text} (in: {one_line(line, 80)})" if line else text
