"""Registers the agent loop with verl: loaded through the entry point group ``verl.plugins`` in every process.

verl swallows what a plug-in raises, at debug level; so it is printed here before it goes on.
"""

from __future__ import annotations

import sys
import traceback

try:
    from aflow_verl.env import agent_loop
except Exception:
    print("aflow_verl: registering the agent loop with verl failed", file=sys.stderr)
    traceback.print_exc()
    raise


def verify() -> None:
    """Check that verl knows the agent loop.

    Raises:
        RuntimeError: one line on what to do.
    """
    from verl.experimental.agent_loop.agent_loop import _agent_loop_registry

    if agent_loop.NAME not in _agent_loop_registry:
        raise RuntimeError(f"verl does not know our agent loop {agent_loop.NAME}; reinstall aflow-verl")
