"""Imported by the sandbox before any program comes: loads reasoning-gym, and fills the caches of sympy."""

from __future__ import annotations

from aflow_verl.benchmarks.sandboxed.verifier import best_score

INTEGRAL = {"question": "", "answer": "", "metadata": {"variable": "x", "integrand": "2*x*sin(x) + exp(x)/x"}}
"""Not solved by what is tried on it, so that simplification goes its long way."""


def warm_up() -> None:
    """Verifies one answer."""
    best_score("simple_integration", {}, INTEGRAL, ["x**2*cos(x)/2 + log(x) + C"])


warm_up()
