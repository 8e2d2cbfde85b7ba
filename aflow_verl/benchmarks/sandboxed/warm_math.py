"""Imported by the sandbox before any program comes: fills the caches of parser and sympy, which programs inherit.

A comparison then takes tens of milliseconds instead of a second.
"""

from __future__ import annotations

from aflow_verl.benchmarks.sandboxed.math_equality import equal

EXAMPLES = (
    (r"\frac{1}{2}", "0.51"),
    (r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt{3}}"),
    ("x^2+2x+1", "(x+2)^2"),
    (r"(1, \frac{\pi}{3})", r"\left(2, 60^\circ\right)"),
    (r"[-2, \infty)", r"(-\infty, 1] \cup \{3\}"),
    (r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}", r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}"),
    (r"\log_2 x + \sin{y}", r"\binom{5}{2} + 3!"),
    ("1, 2, -3", r"x = 1 \pm \sqrt{2}i"),
    (r"y = -\frac{3}{2}x + 5", r"2^{n+1} - |x|"),
)
"""Unequal pairs, which take the longest way, of the kinds that the data set has."""


def warm_up() -> None:
    """Compares one pair of each kind."""
    for wanted, given in EXAMPLES:
        equal(wanted, given, 1e-3, 1e-2)


warm_up()
