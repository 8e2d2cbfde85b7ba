"""The host's side of a check: two sandboxed programs, the texts between them, and the verdict of one of them.

The examiner holds the tests, the candidate runs the answer, and neither can reach the other but by texts that pass
through here, unread. The verdict is the examiner's value; the candidate's own value and output mean nothing. So an
answer that ends its process, patches built-ins, reads its stack, floods the output or returns an object equal to
everything fails, and nothing it can read holds a test.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from aflow_verl.benchmarks.judge.exam import Exam
from aflow_verl.benchmarks.judge.programs import candidate_program, examiner_program
from aflow_verl.errors import SandboxUnavailable
from aflow_verl.sandbox.base import ProgramSandbox
from aflow_verl.sandbox.limits import Limits

LIMITS = Limits(seconds=15.0, memory_mb=512, max_calls=1_000_000, max_depth=1100)
"""AFlow gives a check 15 s. Memory: it has no limit; HumanEval and MBPP need less than 50 MB."""
MAX_ANSWER_CHARS = 200_000
"""A longer answer fails unread."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an answer passes. ``reason`` says why it doesn't; it may quote the tests, so it is not for workflows."""

    passed: bool
    reason: str = ""


async def judge(answer: str, exam: Exam, programs: ProgramSandbox, limits: Limits = LIMITS) -> Verdict:
    """Examine an answer. Each of the two programs may work for ``limits.seconds``, waiting for the other not counted.

    Raises SandboxUnavailable; not retryable where the sandbox is of a kind that can't run an examiner, retryable where
    the machine gave it no time.
    """
    if not programs.supports_calls:
        raise _unsuitable(programs, "its programs can't call out")
    if len(answer) > MAX_ANSWER_CHARS:
        return Verdict(False, f"longer than {MAX_ANSWER_CHARS} characters")
    line = _Line()
    candidate = asyncio.create_task(
        programs.run_program(candidate_program(answer, exam), limits, call=line.from_candidate)
    )
    candidate.add_done_callback(lambda _: line.hang_up())
    try:
        examined = await programs.run_program(examiner_program(exam), limits, call=line.from_examiner)
        if not line.asked:  # before its first question the examiner has met nothing but the sandbox
            raise _not_begun(programs, str(examined.error))
        if candidate.done():  # it ends by a fault alone, whatever the examiner made of that
            return Verdict(False, candidate.result().error or "the answer ended its process")
        reason = examined.value if examined.error is None else examined.error
        return Verdict(reason == "", str(reason))
    finally:
        candidate.cancel()
        await asyncio.gather(candidate, return_exceptions=True)


def _not_begun(programs: ProgramSandbox, reason: str) -> SandboxUnavailable:
    if reason.startswith(TimeoutError.__name__):
        return SandboxUnavailable(f"an examiner of code could not begin: {reason}")
    return _unsuitable(programs, reason)


def _unsuitable(programs: ProgramSandbox, reason: str) -> SandboxUnavailable:
    return SandboxUnavailable(
        f"code can't be judged in the sandbox {programs.name}: {reason}; needs sandbox.programs=process",
        retryable=False,
    )


class _Line:
    """The texts on their way. Each side waits for one text after each that it sends, and the candidate for one before
    its first: so one of them always works, or has a text to read."""

    def __init__(self) -> None:
        self._to_candidate: asyncio.Queue[str] = asyncio.Queue()
        self._to_examiner: asyncio.Queue[str] = asyncio.Queue()
        self._ready = False
        self.asked = False
        """Whether the examiner has sent a text."""

    def hang_up(self) -> None:
        """The candidate is gone: what the examiner asks gets an empty text, which it can't read."""
        self._to_examiner.put_nowait("")

    async def from_examiner(self, text: str) -> str:
        self.asked = True
        self._to_candidate.put_nowait(text)
        return await self._to_examiner.get()

    async def from_candidate(self, text: str) -> str:
        """Its first text says that it is ready, and goes nowhere."""
        if self._ready:
            self._to_examiner.put_nowait(text)
        self._ready = True
        return await self._to_candidate.get()
