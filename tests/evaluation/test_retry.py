"""Waits double and are bounded; the last failure is raised."""

import pytest

from aflow_verl.errors import InfrastructureError, ModelUnavailable, SandboxUnavailable
from aflow_verl.evaluation.retry import with_retries


async def test_waits_double_up_to_a_minute() -> None:
    waits: list[float] = []
    heard: list[InfrastructureError] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async def attempt() -> str:
        raise ModelUnavailable("down")

    with pytest.raises(ModelUnavailable):
        await with_retries(attempt, retries=5, backoff_s=10.0, on=ModelUnavailable, failed=heard.append, sleep=sleep)
    assert waits == [10.0, 20.0, 40.0, 60.0, 60.0]
    assert len(heard) == 6


async def test_other_failures_pass() -> None:
    async def attempt() -> str:
        raise SandboxUnavailable("gone")

    with pytest.raises(SandboxUnavailable):
        await with_retries(attempt, retries=5, backoff_s=10.0, on=ModelUnavailable, failed=lambda failure: None)
