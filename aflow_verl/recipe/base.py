"""Where ``recipes/base.yaml`` lies: beside the packages in a clone, under ``share/`` in an installed wheel."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

IN_A_CLONE = Path(__file__).parents[2] / "recipes" / "base.yaml"
IN_A_WHEEL = "share/aflow-verl/recipes/base.yaml"


def find_base(in_a_clone: Path = IN_A_CLONE, name: str = "aflow-verl") -> Path:
    """The file of defaults; ``in_a_clone``, which doesn't exist then, where neither place has it."""
    if in_a_clone.is_file():
        return in_a_clone
    try:
        files = distribution(name).files or []
    except PackageNotFoundError:
        return in_a_clone
    installed = [Path(str(file.locate())).resolve() for file in files if file.as_posix().endswith(IN_A_WHEEL)]
    return next((path for path in installed if path.is_file()), in_a_clone)
