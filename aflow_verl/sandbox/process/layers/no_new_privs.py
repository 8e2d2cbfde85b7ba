"""No program that this process starts gains a privilege (prctl(2)); Landlock and seccomp need it as well."""

from __future__ import annotations

from aflow_verl.sandbox.process.layers import linux


def apply() -> None:
    """Raises OSError."""
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
