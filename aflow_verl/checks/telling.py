"""Runs checks, says what they found, and refuses a recipe that can't run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aflow_verl.checks.catalog import CHECKS, refuse, run_checks
from aflow_verl.checks.finding import Check, Finding
from aflow_verl.checks.machine import Machine
from aflow_verl.recipe.load import Recipe


def check(recipe: Recipe, machine: Machine, *, aloud: bool, checks: Mapping[str, Check] = CHECKS) -> None:
    """``aloud`` prints one line for each check. Raises ``RecipeError`` if any speaks against running."""
    everything: list[Finding] = []
    for title, findings in run_checks(recipe, machine, checks):
        everything += findings
        if aloud:
            kinds = ("error", "missing", "warning")
            worst = next((kind for kind in kinds if any(f.kind == kind for f in findings)), "ok")
            print(f"{worst:8}{title}")
            for finding in findings:
                if finding.kind != "warning":
                    print(f"{'':8}  {finding.line(recipe)}")
    refuse(recipe, everything)
    warnings = [finding for finding in everything if finding.kind == "warning"]
    if aloud:
        _print_warnings(recipe, warnings)
        print(_summary(recipe, machine, len(warnings)))
    else:
        for remark in everything:
            if remark.kind == "note":
                print(f"note: {remark.line(recipe)}")
        _print_warnings(recipe, warnings)


def _print_warnings(recipe: Recipe, warnings: Sequence[Finding]) -> None:
    """A section of its own, last, so that it is read."""
    if warnings:
        print("warnings: this runs, and")
        for found in warnings:
            print(f"  ! {found.line(recipe)}")


def _summary(recipe: Recipe, machine: Machine, warnings: int) -> str:
    found = f"{machine.gpus} GPUs" + (f" of {machine.gpu_gb:.0f} GB" if machine.gpu_gb is not None else "")
    if machine.assumed:
        found = f"planned for {found}; keys, named files and GPU packages taken as given, not checked"
    but = f", with {warnings} warning{'s' if warnings > 1 else ''}" if warnings else ""
    return f"{recipe.path}: all checks passed{but} ({found})"
