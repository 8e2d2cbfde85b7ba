"""The backends that the contract suites run against, each as it is opened for a run."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from attacks.plain import run_in, serving

from aflow_verl.errors import UserError
from aflow_verl.sandbox.base import ProgramSandbox
from aflow_verl.sandbox.monty import MontySandbox
from aflow_verl.sandbox.process.sandbox import ProcessSandbox
from aflow_verl.sandbox.remote import RemoteSandbox

BACKENDS = ("monty", "process", "process_without_mounts", "remote")
_WITHOUT = {"process_without_mounts": ("mounts", "pids", "network", "ipc", "hostname")}
"""As in a container that allows no namespaces."""


@asynccontextmanager
async def opened(backend: str) -> AsyncIterator[ProgramSandbox]:
    """With two workers. Skips the test on a machine that can't give the isolation which the sandbox insists on."""
    async with AsyncExitStack() as stack:
        if backend == "monty":
            yield await stack.enter_async_context(MontySandbox(workers=1, program_workers=2))
            return
        try:
            jail = await stack.enter_async_context(ProcessSandbox(2, without=_WITHOUT.get(backend, ())))
        except UserError as refusal:
            pytest.skip(str(refusal))
        if backend != "remote":
            yield jail
            return
        url = await stack.enter_async_context(serving(run_in(jail)))
        yield await stack.enter_async_context(RemoteSandbox(url))
