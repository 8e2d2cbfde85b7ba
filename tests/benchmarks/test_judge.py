"""Honest answers through two sandboxed programs, and what happens where one of them can't work."""

import asyncio
from dataclasses import replace

import pytest

from aflow_verl.benchmarks.judge.exam import make_exam
from aflow_verl.benchmarks.judge.judge import LIMITS, MAX_ANSWER_CHARS, Verdict, judge
from aflow_verl.errors import SandboxUnavailable
from aflow_verl.sandbox.base import HostCall
from aflow_verl.sandbox.limits import Limits
from aflow_verl.sandbox.monty import MontySandbox
from aflow_verl.sandbox.process.sandbox import ProcessSandbox
from aflow_verl.sandbox.result import RunResult

pytestmark = pytest.mark.asyncio(loop_scope="session")

HONEST = {
    "floats within a tolerance": ("def f(x): return x ** 0.5", "assert abs(f(2) - 1.41421356237) < 1e-6"),
    "an exception that is asked for": (
        "def f(x):\n    if x < 0: raise ValueError('negative')\n    return x",
        "try:\n    f(-1)\n    assert False\nexcept ValueError as e:\n    assert str(e) == 'negative'",
    ),
    "a generator": ("def f(n):\n    yield from range(n)", "assert list(f(3)) == [0, 1, 2]"),
    "a map object": ("def f(xs): return map(str, xs)", "assert list(f([1])) == ['1']"),
    "work in place": ("def f(xs): xs.sort()", "xs = [2, 1]\nf(xs)\nassert xs == [1, 2]"),
    "a function as argument": ("def f(g, xs): return [g(x) for x in xs]", "assert f(lambda x: x + 1, [1]) == [2]"),
    "a type as argument": ("def f(xs, t): return [x for x in xs if type(x) is t]", "assert f([1, 'a'], int) == [1]"),
    "a number of numpy": ("import numpy as np\ndef f(xs): return np.max(xs), np.sum(xs)", "assert f([1, 2]) == (2, 3)"),
    "a counter": ("import collections\ndef f(s): return collections.Counter(s)", "assert f('aab') == {'a': 2, 'b': 1}"),
    "a named tuple": (
        "from collections import namedtuple\nP = namedtuple('P', 'x y')\ndef f(): return P(1, 2)",
        "assert f() == (1, 2)",
    ),
    "objects of the answer": (
        "class Node:\n    def __init__(self, v):\n        self.v, self.left = v, None\n"
        "def f(n): return 0 if n is None else 1 + f(n.left)",
        "root = Node(1)\nroot.left = Node(2)\nroot.left.left = Node(3)\nassert f(root) == 3",
    ),
    "printing": ("def f(x):\n    print('x' * 100_000)\n    return x", "assert f(1) == 1"),
    "names that AFlow gives": ("def f(x: List[int]) -> Optional[int]: return math.gcd(*x)", "assert f([4, 6]) == 2"),
    "recursion of some depth": ("def f(n): return 0 if n == 0 else 1 + f(n - 1)", "assert f(900) == 900"),
    "a state between calls": ("N = [0]\ndef f():\n    N[0] += 1\n    return N[0]", "f()\nassert f() == 2"),
    "integers without end": ("def f(n): return 7 ** n", "assert f(9000) == 7 ** 9000"),
    "the same random draws": ("import random\ndef f(): return random.Random(3).random()",
                              "import random\nassert f() == random.Random(3).random()"),
}  # fmt: skip


@pytest.mark.parametrize("name", HONEST)
async def test_honest_answers_pass(process_programs: ProcessSandbox, name: str) -> None:
    answer, tests = HONEST[name]
    assert await judge(answer, make_exam(tests, "f"), process_programs) == Verdict(True, "")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("def f(x): return x + 2", "AssertionError: two"),
        ("def f(x): return 1 / 0", "ZeroDivisionError: division by zero"),
        ("def g(x): return x", "doesn't define f"),
        ("no program at all", "doesn't define f"),
        ("", "doesn't define f"),
        ("import no_such_module\ndef f(x): return 2", "no_such_module"),
        ("def f(x):\n    return x +", "doesn't define f"),
        (" " * (MAX_ANSWER_CHARS + 1), "longer than"),
    ],
)
async def test_wrong_answers_fail_with_a_reason(process_programs: ProcessSandbox, answer: str, reason: str) -> None:
    verdict = await judge(answer, make_exam("assert f(1) == 2, 'two'", "f"), process_programs)
    assert not verdict.passed
    assert reason in verdict.reason


async def test_an_endless_loop_ends_at_the_limit(process_programs: ProcessSandbox) -> None:
    exam = make_exam("assert f(1) == 2", "f")
    limits = replace(LIMITS, seconds=1.0)
    for answer in ("def f(x):\n    while True: pass", "X = [0 for _ in iter(int, 1)]\ndef f(x): return X"):
        verdict = await judge(answer, exam, process_programs, limits)
        assert not verdict.passed
        assert "1 s" in verdict.reason


async def test_an_examiner_that_has_no_time_to_begin_says_nothing_about_the_answer(
    process_programs: ProcessSandbox,
) -> None:
    with pytest.raises(SandboxUnavailable, match="could not begin: TimeoutError") as failure:
        await judge(
            "def f(x): return 2", make_exam("assert f(1) == 2", "f"), process_programs, replace(LIMITS, seconds=1e-4)
        )
    assert failure.value.retryable


async def test_one_worker_is_enough_for_many() -> None:
    """Each examination has two programs that wait for each other; none waits for a slot that the other holds."""
    exam = make_exam("assert [f(i) for i in range(5)] == [0, 2, 4, 6, 8]", "f")
    async with ProcessSandbox(workers=1, minimum_level="limits") as programs, asyncio.timeout(300):
        verdicts = await asyncio.gather(*(judge("def f(x): return 2 * x", exam, programs) for _ in range(6)))
    assert all(verdict.passed for verdict in verdicts)


async def test_a_run_that_is_given_up_leaves_nothing(process_programs: ProcessSandbox) -> None:
    exam = make_exam("f()", "f")
    task = asyncio.create_task(judge("def f():\n    while True: pass", exam, process_programs))
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await judge("def f(): pass", exam, process_programs)).passed


async def test_a_sandbox_without_cpython_is_refused() -> None:
    async with MontySandbox() as monty:
        with pytest.raises(SandboxUnavailable, match="programs=process") as refused:
            await judge("def f(): pass", make_exam("f()", "f"), monty)
    assert not refused.value.retryable


class Scripted:
    """A sandbox that does as told with the examiner's run; the candidate's replies to whatever is asked."""

    name = "scripted"

    def __init__(self, result: RunResult | Exception, *, supports_calls: bool = True) -> None:
        self.supports_calls = supports_calls
        self._result = result
        self.runs = 0

    async def run_program(self, code: str, limits: Limits, *, call: HostCall | None = None) -> RunResult:
        assert call is not None
        self.runs += 1
        if "examine(" not in code.splitlines()[-1]:
            while True:
                await call("a reply")
        assert await call("a question") == "a reply"
        if isinstance(self._result, Exception):
            raise self._result
        return self._result

    async def close(self) -> None: ...


async def test_a_sandbox_without_calls_is_refused_before_it_starts() -> None:
    programs = Scripted(RunResult(""), supports_calls=False)
    with pytest.raises(SandboxUnavailable, match="scripted") as refused:
        await judge("def f(): pass", make_exam("f()", "f"), programs)
    assert (refused.value.retryable, programs.runs) == (False, 0)


async def test_a_failing_sandbox_is_no_verdict() -> None:
    with pytest.raises(SandboxUnavailable, match="broke"):
        await judge("def f(): pass", make_exam("f()", "f"), Scripted(SandboxUnavailable("broke")))


@pytest.mark.parametrize("result", [RunResult(None), RunResult(True), RunResult("", error="killed"), RunResult("no")])
async def test_only_an_empty_text_is_a_pass(result: RunResult) -> None:
    assert not (await judge("def f(): pass", make_exam("f()", "f"), Scripted(result))).passed
