"""The sandboxes for programs, by name. A further one is a class like these and a line here."""

from __future__ import annotations

from collections.abc import Collection

from aflow_verl.config import SandboxConfig
from aflow_verl.errors import UserError
from aflow_verl.sandbox.base import ProgramSandbox


async def open_programs(settings: SandboxConfig, *, preload: Collection[str] = ()) -> ProgramSandbox:
    """The sandbox that ``settings.programs`` names, ready for runs; who opens it closes it.

    ``preload``: modules that programs find imported, and the installed packages that they can use (``process`` only).
    Raises UserError where it can't be as the recipe wants it, SandboxUnavailable if it doesn't start.
    """
    match settings.programs:
        case "process":
            from aflow_verl.sandbox.process.sandbox import ProcessSandbox

            level = settings.minimum_level
            return await ProcessSandbox(settings.program_workers, preload=preload, minimum_level=level).open()
        case "monty":
            from aflow_verl.sandbox.monty import MontySandbox

            return await MontySandbox(workers=1, program_workers=settings.program_workers).__aenter__()
        case "remote":
            from aflow_verl.sandbox.remote import RemoteSandbox

            if settings.url is None:
                raise UserError(
                    "sandbox.url: sandbox.programs=remote needs the endpoint, such as http://localhost:8080"
                )
            return RemoteSandbox(settings.url, connections=settings.program_workers)
