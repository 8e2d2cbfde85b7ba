"""Runs checks, says what they found, and refuses a recipe that can't run."""

from __future__ import annotations

from collections.abc import Mapping

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
            worst = next((kind for kind in ("error", "missing") if any(f.kind == kind for f in findings)), "ok")
            print(f"{worst:8}{title}")
            for finding in findings:
                print(f"{'':8}  {finding.line(recipe)}")
    refuse(recipe, everything)
    if aloud:
        print(_summary(recipe, machine))
    else:
        for remark in everything:
            print(f"note: {remark.line(recipe)}")


def _summary(recipe: Recipe, machine: Machine) -> str:
    found = f"{machine.gpus} GPUs" + (f" of {machine.gpu_gb:.0f} GB" if machine.gpu_gb is not None else "")
    if machine.assumed:
        found = f"planned for {found}; keys, named files and GPU packages taken as given, not checked"
    return f"{recipe.path}: all checks passed ({found})"
