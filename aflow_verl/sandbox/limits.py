"""What one run in a sandbox may use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one run. Time counts only while the interpreter works, not while an operator is awaited."""

    seconds: float = 5.0
    memory_mb: int = 64
    """Heap of the run, MiB."""
    max_output_chars: int = 10_000
    """Printed text, and each text in the returned value, are cut to this."""
    max_calls: int = 64
    """Operator calls of one workflow run; a workflow that asks for more fails."""
    max_depth: int = 400
    """Nested function calls."""
