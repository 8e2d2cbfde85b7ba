"""How verl finds the agent loop by name; knows no verl itself."""

from __future__ import annotations

from pathlib import Path

NAME = "aflow"
"""``actor_rollout_ref.rollout.agent.default_agent_loop``."""
TARGET = "aflow_verl.env.agent_loop.AflowAgentLoop"


def write_agent_loop_config(path: Path) -> None:
    """The file for ``actor_rollout_ref.rollout.agent.agent_loop_config_path``, which verl's agent loop workers read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"- name: {NAME}\n  _target_: {TARGET}\n")
