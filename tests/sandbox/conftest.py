import ctypes
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from aflow_verl.sandbox.limits import Limits
from aflow_verl.sandbox.monty import MontySandbox

sys.path.insert(0, str(Path(__file__).parent))  # for the package of attacks

_PR_SET_CHILD_SUBREAPER = 36


@pytest.fixture
async def sandbox() -> AsyncIterator[MontySandbox]:
    async with MontySandbox(workers=4, program_workers=2) as opened:
        yield opened


@pytest.fixture
def limits() -> Limits:
    return Limits(seconds=1.0, memory_mb=32, max_output_chars=1000, max_calls=20)


@pytest.fixture(scope="session")
def orphans_come_to_us() -> Iterator[None]:
    """Processes whose parent ends become children of this process, so that none gets out of sight."""
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    yield
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
