"""A loopback endpoint of the SandboxFusion kind for tests, and what it runs scripts with."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from aflow_verl.sandbox.limits import Limits
from aflow_verl.sandbox.process.sandbox import ProcessSandbox
from aflow_verl.sandbox.remote import INTERPRETER_MB, START_S

RunCode = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
"""From the JSON of a request to that of its reply."""
_CAPTURED = 1 << 20


@asynccontextmanager
async def serving(run_code: RunCode) -> AsyncIterator[str]:
    """The address of an endpoint."""

    async def handle(request: web.Request) -> web.Response:
        return web.json_response(await run_code(await request.json()))

    app = web.Application(client_max_size=1 << 24)
    app.router.add_post("/run_code", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def reply(stdout: str, return_code: int | None, *, status: str = "Finished", stderr: str = "") -> dict[str, Any]:
    """As SandboxFusion writes it."""
    outcome = "Success" if status == "Finished" and return_code == 0 else "Failed"
    run = {"status": status, "execution_time": 0.1, "return_code": return_code, "stdout": stdout, "stderr": stderr}
    return {"status": outcome, "message": "", "compile_result": None, "run_result": run, "files": {}}


async def run_plainly(request: dict[str, Any]) -> dict[str, Any]:
    """In a plain interpreter, in a folder and a session of its own, with nothing to hold it but the time."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        return await _run_plainly_in(folder, request)


async def _run_plainly_in(folder: str, request: dict[str, Any]) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", request["code"]),
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(request["run_timeout"]):
            stdout = b""
            while part := await process.stdout.read(1 << 16):
                stdout += part[: _CAPTURED - len(stdout)]
                await asyncio.sleep(0)  # a flood is always ready to be read: let the clock be looked at
            return reply(stdout.decode(errors="replace"), await process.wait())
    except TimeoutError:
        return reply("", None, status="TimeLimitExceeded")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.communicate()


_SCRIPT = """\
import os
def _end(code):
    raise SystemExit(code)
os._exit = _end
exec(compile({script!r}, "<script>", "exec"), {{"__name__": "__main__"}})
"""
"""In the jail the result of a script is what it printed, which an interpreter that has gone can't send."""


def run_in(jail: ProcessSandbox) -> RunCode:
    """In the process sandbox: an endpoint whose own isolation is known."""

    async def run_code(request: dict[str, Any]) -> dict[str, Any]:
        limits = Limits(request["run_timeout"] - START_S, request["memory_limit_MB"] - INTERPRETER_MB, _CAPTURED)
        ran = await jail.run_program(_SCRIPT.format(script=request["code"]), limits)
        return reply(ran.stdout, 1 if ran.error else 0)

    return run_code
