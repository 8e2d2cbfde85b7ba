"""Which layers work here: found by putting each on in a throw-away process, and looking whether it holds."""

from __future__ import annotations

import asyncio
import json
import sys

from aflow_verl.errors import SandboxUnavailable
from aflow_verl.sandbox.process import interpreter
from aflow_verl.sandbox.process.level import LAYERS, Layers
from aflow_verl.sandbox.result import one_line

_TIMEOUT_S = 60.0
"""A tenth of a second is usual; the machine may be busy."""


async def probe() -> Layers:
    """Raises SandboxUnavailable if the interpreter can't be started."""
    if sys.platform != "linux":
        return Layers(dict.fromkeys(LAYERS, "not Linux"))
    process = await interpreter.start("trial")
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            output, complaint = await process.communicate()
        reasons = json.loads(output)
    except TimeoutError:
        interpreter.kill(process)
        raise SandboxUnavailable(f"the probe of the sandbox: no answer within {_TIMEOUT_S:g} s") from None
    except ValueError as error:
        said = one_line(complaint[-300:].decode(errors="replace"))
        raise SandboxUnavailable(f"the probe of the sandbox failed: {said}", retryable=False) from error
    return Layers({name: reasons[name] for name in LAYERS if reasons[name]})
