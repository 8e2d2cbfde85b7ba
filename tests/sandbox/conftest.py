from collections.abc import AsyncIterator

import pytest

from aflow_verl.sandbox.limits import Limits
from aflow_verl.sandbox.monty import MontySandbox


@pytest.fixture
async def sandbox() -> AsyncIterator[MontySandbox]:
    async with MontySandbox(workers=4, program_workers=2) as opened:
        yield opened


@pytest.fixture
def limits() -> Limits:
    return Limits(seconds=1.0, memory_mb=32, max_output_chars=1000, max_calls=20)
