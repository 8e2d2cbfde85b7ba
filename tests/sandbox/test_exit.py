"""The interpreter ends cleanly after the sandbox was used and closed."""

import subprocess
import sys

import pytest

SCRIPT = """
import asyncio
from aflow_verl.sandbox.limits import Limits
from aflow_verl.sandbox.monty import MontySandbox
from aflow_verl.workflow.state import SEED_CODE

async def call(name, arguments):
    await asyncio.sleep(0.001)
    return {"response": "4"}

async def main():
    limits = Limits(seconds=0.2)
    async with MontySandbox(workers=4) as sandbox:
        workflows = [sandbox.run_workflow(SEED_CODE, "", "d", "p", None, call, limits) for _ in range(20)]
        codes = ["while True: pass", *["class A: pass\\nA()"] * 20]
        programs = [sandbox.run_program(code, limits) for code in codes]
        await asyncio.gather(*workflows, *programs)

asyncio.run(main())
print("done")
"""


@pytest.mark.parametrize("attempt", range(3))
def test_exit_code_is_zero(attempt: int) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "done", "")
