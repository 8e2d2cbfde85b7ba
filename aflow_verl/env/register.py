"""Registers the agent loop with verl: loaded through the entry point group ``verl.plugins``.

In the processes of a run (``AFLOW_VERL_REGISTER_ON_DEMAND``) verl's agent loop workers find it by the file that
``loop_config`` writes, and no other process needs it.
"""

from __future__ import annotations

import os
import sys
import traceback

if not os.environ.get("AFLOW_VERL_REGISTER_ON_DEMAND"):
    try:
        from aflow_verl.env import agent_loop  # noqa: F401
    except Exception:
        print("aflow_verl: registering the agent loop with verl failed", file=sys.stderr)
        traceback.print_exc()
        raise
