"""``host_call``, the one way out of a program, on every backend that has it; and its abuse."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from backends import opened

from aflow_verl.errors import ModelUnavailable
from aflow_verl.sandbox.base import ProgramSandbox
from aflow_verl.sandbox.limits import Limits

LIMITS = Limits(seconds=1.0, memory_mb=64, max_output_chars=1000, max_calls=5)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["monty", "process"])
async def programs(request: pytest.FixtureRequest) -> AsyncIterator[ProgramSandbox]:
    async with opened(request.param) as sandbox:
        yield sandbox


class Host:
    """Answers in capitals, and remembers."""

    def __init__(self, failure: Exception | None = None, wait_s: float = 0.0) -> None:
        self.texts: list[str] = []
        self.failure = failure
        self.wait_s = wait_s

    async def __call__(self, text: str) -> str:
        self.texts.append(text)
        await asyncio.sleep(self.wait_s)
        if self.failure is not None:
            raise self.failure
        return text.upper()


@pytest.mark.parametrize(
    ("code", "value", "texts"),
    [
        ("host_call('a') + host_call('b')", "AB", ["a", "b"]),
        ("[host_call(str(i)) for i in range(3)]", ["0", "1", "2"], ["0", "1", "2"]),
        ("def solve():\n    return host_call('ü\\n\\x00')", "Ü\n\x00", ["ü\n\x00"]),
        ("text = host_call('')\nprint(text == '')\ntext", "", [""]),
        ("1", 1, []),
    ],
)
async def test_calls(programs: ProgramSandbox, code: str, value: object, texts: list[str]) -> None:
    host = Host()
    result = await programs.run_program(code, LIMITS, call=host)
    assert (result.value, result.error, host.texts) == (value, None, texts)


async def test_time_at_the_host_does_not_count(programs: ProgramSandbox) -> None:
    host = Host(wait_s=0.3)
    result = await programs.run_program("[host_call('a') for _ in range(5)]", LIMITS, call=host)
    assert result.value == ["A"] * 5


async def test_a_failure_of_the_host_is_not_the_programs(programs: ProgramSandbox) -> None:
    host = Host(ModelUnavailable("overloaded"))
    code = "try:\n    host_call('a')\nexcept BaseException:\n    pass\nhost_call('b')"
    with pytest.raises(ModelUnavailable, match="overloaded"):
        await programs.run_program(code, LIMITS, call=host)
    assert host.texts == ["a"]


@pytest.mark.parametrize(
    "code",
    [
        "for i in range(100):\n    host_call('x')",
        "for i in range(100):\n    try:\n        host_call('x')\n    except Exception:\n        pass\nhost_call('x')",
        "host_call(1)",
        "host_call()",
        "host_call('a', 'b')",
        "host_call(['a'])",
        "x = [1]\nfor i in range(8):\n    x = [x] * 100\nhost_call(x)",
        "host_call('x' * (1 << 26))",
    ],
)
async def test_abuse(programs: ProgramSandbox, code: str) -> None:
    host = Host()
    result = await programs.run_program(code, LIMITS, call=host)
    assert result.error is not None
    assert len(host.texts) <= LIMITS.max_calls
    assert (await programs.run_program("6 * 7", LIMITS)).value == 42


async def test_without_a_host_there_is_no_such_function(programs: ProgramSandbox) -> None:
    result = await programs.run_program("host_call('a')", LIMITS)
    assert "NameError" in (result.error or "")


async def test_cancelled_while_the_host_works(programs: ProgramSandbox) -> None:
    for _ in range(3):
        host = Host(wait_s=1000)
        task = asyncio.create_task(programs.run_program("host_call('a')", LIMITS, call=host))
        while not host.texts:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert (await programs.run_program("6 * 7", LIMITS)).value == 42
