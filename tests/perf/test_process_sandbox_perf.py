"""What a run in the jailed CPython costs over the program itself."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from aflow_verl.sandbox.limits import Limits
from aflow_verl.sandbox.process.sandbox import ProcessSandbox

PROGRAM = "import json, math\nsum(math.sqrt(i) for i in range(10_000))"
MOST_MS = 30.0
ROOM = 2.0
"""A slow or busy machine must not fail a build; the figure is printed beside its target."""
ROUNDS, RUNS = 5, 20


def median_ms(call: Callable[[], object], runs: int) -> float:
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return 1e3 * statistics.median(times)


def best_median(values: list[float]) -> float:
    return min(statistics.median(values[i : i + RUNS]) for i in range(0, len(values), RUNS))


@pytest.mark.perf
@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
async def test_a_run_costs_at_most_30_ms_over_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    """Runs in the sandbox and ``exec`` of the same program here take turns, so that both see the same machine.

    The best of some rounds' medians: what the machine's other work slowed down says nothing.
    """
    code = compile(PROGRAM, "<program>", "exec")
    overheads, runs = [], []
    async with ProcessSandbox(workers=2) as process:
        for _ in range(ROUNDS * RUNS):
            began = time.perf_counter()
            result = await process.run_program(PROGRAM, Limits())
            runs.append(1e3 * (time.perf_counter() - began))
            overheads.append(runs[-1] - median_ms(lambda: exec(code, {}), 1))
            assert result.error is None
        level = process.level
    cold = median_ms(lambda: subprocess.run([sys.executable, "-I", "-c", PROGRAM], check=True), 5)
    overhead, run = best_median(overheads), best_median(runs)
    with capsys.disabled():
        print(f"\nprocess sandbox ({level}): {overhead:.1f} ms over the program's own time; ", end="")
        print(f"python -I -c takes {cold:.0f} ms ({cold / run:.1f} times)", end=" ")
    assert overhead <= MOST_MS * ROOM
