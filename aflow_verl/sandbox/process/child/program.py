"""Runs one program and says what came of it. From here on nothing can be relied on but the jail."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import json
import mmap
import os
import random
import signal
import sys
import threading
import traceback
import types
from collections.abc import Callable
from typing import Any

from aflow_verl.sandbox.process import frames, values
from aflow_verl.sandbox.process.child.output import capture
from aflow_verl.sandbox.result import one_line
from aflow_verl.sandbox.source import program_source

FILE = "<program>"
RESERVE_BYTES = 4 << 20
"""Held back from the program, so that a result can still be written when it has used up its memory."""
_TOP_LEVEL_AWAIT = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


def serve(descriptor: int) -> None:
    """Takes one program from the channel, runs it and sends its result; the caller ends the process."""
    receive = lambda length: os.read(descriptor, length)  # noqa: E731
    send = lambda kind, payload: _write(descriptor, frames.encode(kind, payload))  # noqa: E731
    _, payload = frames.read(receive, {frames.PROGRAM: frames.MAX_PROGRAM_BYTES})
    request = json.loads(payload)
    max_chars = request["max_output_chars"]
    reserve = mmap.mmap(-1, RESERVE_BYTES)
    printed, stdout = capture(max_chars)
    sys.stdout, sys.stderr = stdout, capture(0)[1]
    outcome: dict[str, Any] = {"value": None, "error": None}
    module = _main_module(_host_call(receive, send) if request["calls"] else None)
    try:
        sys.setrecursionlimit(max(sys.getrecursionlimit(), request["max_depth"]))
        random.seed(0)
        value = _run(request["code"], module)
        reserve.close()
        outcome["value"] = _returned(value, max_chars)
    except BaseException as fault:
        reserve.close()
        outcome["error"] = _readable(fault)
        fault.__traceback__ = fault.__context__ = fault.__cause__ = None
    signal.setitimer(signal.ITIMER_REAL, 0)
    with contextlib.suppress(ValueError):  # the program closed it
        stdout.flush()
    outcome["stdout"] = values.printable(printed.text(max_chars))
    result = json.dumps(outcome).encode()
    if len(result) > frames.max_result_bytes(max_chars):
        outcome |= {"value": None, "error": "the result can't be returned: it is too large"}
        result = json.dumps(outcome).encode()
    send(frames.RESULT, result)


def _main_module(host_call: Callable[[str], str] | None) -> types.ModuleType:
    """The program's own ``__main__``; what the jail was made with is no longer importable."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "aflow_verl"]:
        del sys.modules[name]
    module = sys.modules["__main__"] = types.ModuleType("__main__")
    sys.argv[:] = [""]
    if host_call is not None:
        module.__dict__["host_call"] = host_call
    return module


def _run(code: str, module: types.ModuleType) -> Any:
    tree = compile(program_source(code), FILE, "exec", ast.PyCF_ONLY_AST | _TOP_LEVEL_AWAIT, dont_inherit=True)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    _evaluate(compile(tree, FILE, "exec", _TOP_LEVEL_AWAIT, dont_inherit=True), module)
    if last is None:
        return None
    expression = ast.Expression(last.value)
    return _evaluate(compile(expression, FILE, "eval", _TOP_LEVEL_AWAIT, dont_inherit=True), module)


def _evaluate(code: types.CodeType, module: types.ModuleType) -> Any:
    value = eval(code, module.__dict__)
    return asyncio.run(value) if code.co_flags & inspect.CO_COROUTINE else value


def _returned(value: Any, max_chars: int) -> Any:
    try:
        return values.encode(value, max_chars)
    except BaseException as fault:
        raise Unreturnable(one_line(f"{_text(fault)}")) from None


class Unreturnable(Exception):
    """The value has no plain form."""


def _readable(fault: BaseException) -> str:
    """``Type: message (line n)``: the innermost line of the program itself that the traceback names."""
    text = _text(fault)
    if isinstance(fault, Unreturnable):
        return f"the result can't be returned: {text}"
    lines = [number for frame, number in traceback.walk_tb(fault.__traceback__) if frame.f_code.co_filename == FILE]
    if isinstance(fault, SyntaxError) and fault.filename == FILE and fault.lineno:
        lines, text = [fault.lineno], str(fault.msg)
    kind = type(fault).__qualname__
    where = f" (line {lines[-1]})" if lines else ""
    return one_line(f"{kind}: {text}" if text else kind) + where


def _text(fault: BaseException) -> str:
    try:
        return values.printable(str(fault))
    except BaseException:
        return "an exception without a text"


def _host_call(receive: Callable[[int], bytes], send: Callable[[bytes, bytes], None]) -> Callable[[str], str]:
    lock = threading.Lock()

    def host_call(text: str) -> str:
        """What the host makes of ``text``."""
        if not isinstance(text, str):
            raise TypeError(f"host_call takes a str, not {type(text).__name__}")
        payload = frames.to_bytes(text)
        if len(payload) > frames.MAX_CALL_BYTES:
            raise ValueError(f"host_call: more than {frames.MAX_CALL_BYTES} bytes")
        with lock:
            send(frames.CALL, payload)
            return frames.to_text(frames.read(receive, {frames.ANSWER: frames.MAX_CALL_BYTES})[1])

    return host_call


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
