"""The remote backend against a loopback endpoint that runs scripts, one that is scripted, and one that misbehaves."""

import ast
import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
from attacks.plain import reply, run_plainly, serving
from hypothesis import given, settings
from hypothesis import strategies as st

from aflow_verl.errors import SandboxUnavailable, UserError
from aflow_verl.sandbox import remote_program
from aflow_verl.sandbox.limits import Limits
from aflow_verl.sandbox.process import values
from aflow_verl.sandbox.remote import MAX_REPLY_BYTES, RemoteSandbox
from aflow_verl.sandbox.result import RunResult, as_plain

LIMITS = Limits(seconds=3.0, memory_mb=64, max_output_chars=1000)


@asynccontextmanager
async def endpoint(run_code: Callable[[dict[str, Any]], dict[str, Any]]) -> AsyncIterator[RemoteSandbox]:
    async def answer(request: dict[str, Any]) -> dict[str, Any]:
        return run_code(request)

    async with serving(answer) as url, RemoteSandbox(url) as sandbox:
        yield sandbox


@asynccontextmanager
async def raw_endpoint(answer: bytes, *, then_wait: bool = False) -> AsyncIterator[str]:
    """Whatever is asked, it sends these bytes and hangs up, or waits."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        try:
            await writer.drain()
            await (asyncio.sleep(60) if then_wait else asyncio.sleep(0))
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plain() -> AsyncIterator[RemoteSandbox]:
    async with serving(run_plainly) as url, RemoteSandbox(url) as sandbox:
        yield sandbox


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("6 * 7", RunResult(42)),
        ("print('a')\nprint('b')", RunResult(None, "a\nb\n")),
        ("def solve():\n    return (1, [2.5, None], {'a': 'ü'})", RunResult((1, [2.5, None], {"a": "ü"}))),
        ("async def solve():\n    return 3", RunResult(3)),
        ("x = 4", RunResult(4)),
        ("x = []\nx.append(x)\nlen(str(x))", RunResult(7)),
        ("print('x' * 5000)\n'y' * 5000", RunResult("y" * 1000, "x" * 1000)),
        ("import sys\nsys.stdout.buffer.write(b'\\xff')\n1", RunResult(1, "\ufffd")),
        ("import os\nos.write(1, b'noise\\n')\n1", RunResult(1)),
        ("'\\ud800'", RunResult("?")),
        ("1 +\n1 / 0", RunResult(error="SyntaxError: invalid syntax (line 1)")),
        ("x = 1\n1 / 0", RunResult(error="ZeroDivisionError: division by zero (line 2)")),
        ("raise SystemExit(0)", RunResult(error="SystemExit: 0 (line 1)")),
        ("10 ** 4000", RunResult(error="the result can't be returned: an integer of 13288 bits")),
        (
            "x = 'a'\nfor _ in range(200):\n    x = [x, x]\nx",
            RunResult(error="the result can't be returned: a value of more than 20000 parts"),
        ),
        ("import os\nos._exit(3)", RunResult(error="the program ended its process (exit code 3), or printed too much")),
        ("import os\nwhile True:\n    os.write(1, b'x' * 65536)", RunResult(error="TimeoutError: longer than 0.5 s")),
        ("while True: pass", RunResult(error="TimeoutError: longer than 0.5 s")),
        ("x\0y", None),
        ("x" * 200_000, RunResult(error="ValueError: the program is longer than 100000 characters")),
        ("class E(Exception):\n    def __str__(self):\n        raise ValueError\nraise E", None),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_what_comes_back(plain: RemoteSandbox, code: str, expected: RunResult | None) -> None:
    seconds = 0.5 if "while" in code else 5.0
    result = await plain.run_program(code, Limits(seconds, 64, 1000))
    if expected is None:
        assert result.error
    else:
        assert result == expected


async def test_the_request() -> None:
    asked: list[dict[str, Any]] = []

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        asked.append(request)
        return reply("", 0)

    async with endpoint(answer) as sandbox:
        await sandbox.run_program("'ü'", LIMITS)
        await sandbox.run_program("'ü'", LIMITS)
    first, second = asked
    assert {name: first[name] for name in first if name != "code"} == {
        "language": "python",
        "run_timeout": 4.0,
        "memory_limit_MB": 320,
    }
    assert ast.parse(first["code"])
    assert first["code"] != second["code"], "the marker of a result can't be known beforehand"


async def test_what_a_program_prints_is_no_result() -> None:
    forged = json.dumps({"value": 42, "error": None, "stdout": ""})
    async with endpoint(lambda request: reply(f"\n{'0' * 32}{forged}\n{forged}", 0)) as sandbox:
        assert (await sandbox.run_program("1", LIMITS)).error is not None


@pytest.mark.parametrize(
    "outcome",
    ["null", "[]", "{}", '{"value": 1}', '{"value": {"x": 1}, "stdout": "", "error": null}', "[" * 100_000, '"\\ud800"']
    + [
        f'{{"value": {value}, "stdout": {out}, "error": {error}}}'
        for value, out, error in ((1, 2, "null"), (1, '""', 3))
    ],
)
async def test_a_result_that_makes_no_sense_is_the_programs_fault(outcome: str) -> None:
    def answer(request: dict[str, Any]) -> dict[str, Any]:
        marker = ast.literal_eval(request["code"].rpartition("run(")[2].split(", ")[-2])
        return reply(f"\n{marker}{outcome}\n", 0)

    async with endpoint(answer) as sandbox:
        assert await sandbox.run_program("1", LIMITS) == RunResult(error="the program sent no readable result")


@pytest.mark.parametrize(
    "said",
    [
        {"status": "SandboxError", "message": "no room", "run_result": None},
        {"status": "Success", "message": "", "run_result": None},
        {"status": "Failed", "message": "", "run_result": {"status": "Error", "stderr": "x"}},
        {"status": "Odd", "message": ""},
        {"detail": "Not Found"},
        [],
        3,
    ],
)
async def test_an_endpoint_that_could_not_run_it(said: Any) -> None:
    async with endpoint(lambda request: said) as sandbox:
        with pytest.raises(SandboxUnavailable, match="remote sandbox") as raised:
            await sandbox.run_program("1", LIMITS)
    assert raised.value.retryable


def http(status: str, body: bytes = b"{}", length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {size}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("answer", "retryable"),
    [
        (http("500 Internal Server Error"), True),
        (http("503 Service Unavailable"), True),
        (http("429 Too Many Requests"), True),
        (http("404 Not Found"), False),
        (http("422 Unprocessable Entity", b'{"detail": "language"}'), False),
        (http("200 OK", b"not json"), True),
        (http("200 OK", b"\xff\xfe"), True),
        (http("200 OK", b"[" * 100_000), True),
        (http("200 OK", b'{"status": "Succ', length=1000), True),
        (http("200 OK", b"x" * (MAX_REPLY_BYTES + 1)), True),
        (b"SSH-2.0-OpenSSH\r\n", True),
        (b"", True),
    ],
)
async def test_failures_of_the_endpoint(answer: bytes, retryable: bool) -> None:
    async with raw_endpoint(answer) as url, RemoteSandbox(url) as sandbox:
        with pytest.raises(SandboxUnavailable, match="remote sandbox") as raised:
            await sandbox.run_program("1", LIMITS)
    assert raised.value.retryable == retryable
    assert "\n" not in str(raised.value)


async def test_an_endpoint_that_never_answers() -> None:
    async with raw_endpoint(b"", then_wait=True) as url, RemoteSandbox(url, timeout_s=0.1) as sandbox:
        with pytest.raises(SandboxUnavailable, match="ReadTimeout"):
            await sandbox.run_program("1", Limits(seconds=0.1))


async def test_nobody_is_there() -> None:
    async with raw_endpoint(b"") as url:
        pass
    async with RemoteSandbox(url) as sandbox:
        with pytest.raises(SandboxUnavailable, match="ConnectError"):
            await sandbox.run_program("1", LIMITS)


async def test_what_it_refuses() -> None:
    async def call(text: str) -> str:
        return text

    with pytest.raises(UserError, match=r"sandbox\.url: 'localhost:8080' is no address"):
        RemoteSandbox("localhost:8080")
    sandbox = RemoteSandbox("http://localhost:8080")
    assert not sandbox.supports_calls
    with pytest.raises(SandboxUnavailable, match="can't call the host"):
        await sandbox.run_program("1", LIMITS, call=call)
    await sandbox.close()
    await sandbox.close()
    with pytest.raises(SandboxUnavailable, match="not open"):
        await sandbox.run_program("1", LIMITS)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=30,
)


@settings(max_examples=50)
@given(PLAIN)
def test_values_arrive_as_every_sandbox_gives_them(value: Any) -> None:
    sent = json.loads(json.dumps(remote_program.plain(value, 10, [1000])))
    assert values.decode(sent, 10) == as_plain(value, 10)
