"""The families of landscapes, as a table: a row is a family, and a file may bring others.

Calibrated families carry figures of recorded AFlow searches in public repositories (55 trees, 792 plain edits): the
middle score of the seeds, what the best workflow had gained in the middle tree, the shares of the seed's edits that
gained or lost more than .02, the share that crashed, the number of validation problems, and the standard deviation of
a paired difference on one problem, from which ``rho`` is computed (``rho_of``). That 7 % of the edits of later
workflows gain where 32 % of the seed's did is what the shape ``diminishing`` is for.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from types import MappingProxyType, ModuleType
from typing import Any

import yaml

from aflow_verl.errors import UserError
from aflow_verl.schema import build, suggestion
from aflow_verl.study.shapes import SHAPES, Shape

MOST_KEY_EDITS = 14
"""Good edits and the trap together: all their states are tabled, 2 to this power."""

TUNING_SEEDS = range(0, 20)
"""Landscapes that defaults may be tuned on."""
REPORTING_SEEDS = range(2000, 2040)
"""Landscapes that results are reported on; nothing was ever tuned on them."""
TRAINING_SEEDS = range(5000, 5064)
"""Landscapes that a learned policy and critic are trained on."""


@dataclass(frozen=True)
class Family:
    """Landscapes alike but for the seed. Raises ``UserError`` for values that make no landscape."""

    name: str
    about: str
    shape: str
    """Name of a shape: how the good edits add up."""
    parameter: float = 0.0
    """The shape's own number."""
    edits: int = 30
    """Edits in all: good, traps, harmful and crashing ones, and the rest, which changes nothing."""
    good: int = 6
    trap: bool = False
    """Whether there is one edit that the shape treats as a trap."""
    harmful: int = 12
    harm: tuple[float, ...] = (0.02, 0.1)
    """Least and most score that a harmful edit costs."""
    crashing: int = 0
    """Edits after which no problem is solved."""
    base: float = 0.5
    """Score of the seed."""
    gain: float = 0.3
    """Score that can be gained."""
    problems: int = 60
    """Validation problems."""
    rho: float = 0.7
    """Share of the variance of a result that is the problem's, the same for all workflows."""
    undo: bool = True
    """Whether an edit that is on can be taken back; if not, there are dead ends."""
    common: float = 0.7
    """Share of the edits that keep their role from landscape to landscape."""

    def __post_init__(self) -> None:
        for wrong, why in (
            (self.good < 1, "good: at least one edit must help"),
            (self.good + self.trap > MOST_KEY_EDITS, f"good: at most {MOST_KEY_EDITS} with the trap"),
            (self.good + self.trap + self.harmful + self.crashing > self.edits, "edits: fewer than their roles need"),
            (self.edits > 64, "edits: at most 64"),
            (not 0 < self.base < self.base + self.gain < 1, "base and base + gain: between 0 and 1"),
            (not 0 <= self.rho < 1, "rho: from 0 up to, not including, 1"),
            (not 0 <= self.common <= 1, "common: from 0 to 1"),
            (self.problems < 2, "problems: at least 2"),
            (len(self.harm) != 2 or not 0 <= self.harm[0] <= self.harm[1], "harm: least and most, not below 0"),
        ):
            if wrong:
                raise UserError(f"family {self.name}: {why}")


def rho_of(score: float, paired_sd: float) -> float:
    """The ``rho`` at which two workflows of this score differ on a problem with this standard deviation.

    sd^2 = 2 (p - P(both right)), where both are right with probability Phi2(t, t; rho), t = Phi^-1(p). Bisected on
    rho in [0, 1), to 1e-6; a deviation larger than that of independent results gives 0.
    """
    from scipy.stats import multivariate_normal  # takes long to import

    threshold = NormalDist().inv_cdf(score)

    def variance(rho: float) -> float:
        both = float(multivariate_normal.cdf([threshold, threshold], cov=[[1.0, rho], [rho, 1.0]]))
        return 2.0 * (score - both)

    low, high = 0.0, 1.0 - 1e-9
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (middle, high) if variance(middle) > paired_sd**2 else (low, middle)
    return low


_TABLE = (
    Family("one_good", "one good edit among thirty", "additive", good=1, harmful=9),
    Family("pair", "two edits that help only together", "together", edits=16, good=2, harmful=5),
    Family(
        "deceptive",
        "a trap pays at once and hides what the good edits are worth",
        "deceptive",
        parameter=0.5,
        edits=20,
        good=3,
        trap=True,
        harmful=6,
        gain=0.35,
    ),
    Family("many_equal", "any five of ten good edits", "enough", parameter=5, good=10, harmful=8, gain=0.2),
    Family("few_noisy", "eight problems", "additive", harm=(0.02, 0.15), problems=8),
    Family("ladder", "each good edit needs the one before", "ladder", edits=16, harmful=5, harm=(0.03, 0.1)),
    *(
        Family(
            f"realistic_{problems}",
            f"from .90 to .95 with {problems} problems: a fifth of the edits help, two fifths hurt",
            "additive",
            harm=(0.005, 0.05),
            base=0.9,
            gain=0.05,
            problems=problems,
        )
        for problems in (20, 60, 260)
    ),
    Family(
        "dead_ends",
        "deceptive, and nothing can be undone",
        "deceptive",
        parameter=0.5,
        edits=20,
        good=3,
        trap=True,
        harmful=6,
        gain=0.35,
        undo=False,
    ),
    Family(
        "gsm8k",
        "GSM8K, 16 trees: seed .784, +.078; 33 % gain, 28 % lose, 3 % crash; paired sd .238",
        "diminishing",
        parameter=0.4,
        good=10,
        harmful=8,
        harm=(0.02, 0.06),
        crashing=1,
        base=0.784,
        gain=0.078,
        problems=100,
        rho=0.964,
    ),
    Family(
        "math",
        "MATH, 11 trees: seed .487, +.054; 15 % gain, 35 % lose, 13 % crash; paired sd .380",
        "diminishing",
        parameter=0.6,
        good=5,
        harmful=10,
        harm=(0.02, 0.08),
        crashing=4,
        base=0.487,
        gain=0.054,
        problems=119,
        rho=0.899,
    ),
    Family(
        "humaneval",
        "HumanEval, 4 trees: seed .909, +.030; 9 % gain, 36 % lose, 6 % crash; paired sd .180",
        "diminishing",
        parameter=0.7,
        good=3,
        harmful=11,
        harm=(0.02, 0.15),
        crashing=2,
        base=0.909,
        gain=0.03,
        problems=33,
        rho=0.962,
    ),
    Family(
        "mbpp",
        "MBPP, 4 trees: seed .728, +.105; 57 % gain, 29 % lose, 9 % crash; paired sd .192",
        "diminishing",
        parameter=0.3,
        edits=24,
        good=12,
        harmful=7,
        harm=(0.02, 0.3),
        crashing=2,
        base=0.728,
        gain=0.105,
        problems=86,
        rho=0.988,
    ),
    Family(
        "hotpotqa",
        "HotpotQA, 5 trees: seed .449, +.262; most edits of the seed gain, 30 % of later ones lose; paired sd .213",
        "diminishing",
        parameter=0.4,
        edits=24,
        good=12,
        harmful=7,
        harm=(0.02, 0.3),
        crashing=3,
        base=0.449,
        gain=0.262,
        problems=68,
        rho=0.987,
    ),
    Family(
        "drop",
        "DROP, 8 trees: seed .108, +.693; 53 % gain, 12 % of the seed's and 53 % of later edits lose; paired sd .156",
        "diminishing",
        parameter=0.25,
        edits=24,
        good=12,
        harmful=8,
        harm=(0.02, 0.5),
        crashing=2,
        base=0.108,
        gain=0.693,
        problems=68,
        rho=0.997,
    ),
)

FAMILIES: Mapping[str, Family] = MappingProxyType({family.name: family for family in _TABLE})
"""Name -> family."""


@dataclass(frozen=True)
class Catalog:
    """The families of a study and the shapes that they name."""

    families: Mapping[str, Family]
    shapes: Mapping[str, Shape]


BUILT_IN = Catalog(FAMILIES, SHAPES)


def chosen(words: Sequence[str]) -> Catalog:
    """The families that ``--families`` names: by name, or all of a file. None named: all that are built in.

    A ``.yaml`` file maps a family's name to its fields. A ``.py`` file has ``FAMILIES``, an iterable of ``Family``, and
    may have ``SHAPES``, name -> function. Raises ``UserError`` for what can't be read.
    """
    if not words:
        return BUILT_IN
    families: dict[str, Family] = {}
    shapes = dict(SHAPES)
    for word in words:
        if Path(word).suffix in (".py", ".yaml", ".yml"):
            loaded = load(Path(word))
            shapes.update(loaded.shapes)
            families.update(loaded.families)
        elif word in FAMILIES:
            families[word] = FAMILIES[word]
        else:
            raise UserError(f"--families: no family {word!r}{suggestion(word, FAMILIES)}; or name a .py or .yaml file")
    return Catalog(families, shapes)


def load(path: Path) -> Catalog:
    """The families of one file, see ``chosen``."""
    if not path.is_file():
        raise UserError(f"--families: {path}: no such file")
    if path.suffix == ".py":
        module = _module(path)
        found: Iterable[Family] = getattr(module, "FAMILIES", ())
        shapes: dict[str, Shape] = {**SHAPES, **getattr(module, "SHAPES", {})}
        families = {family.name: family for family in found}
    else:
        shapes = dict(SHAPES)
        families = _from_yaml(path)
    if not families:
        raise UserError(f"--families: {path}: no family in it")
    for family in families.values():
        if family.shape not in shapes:
            raise UserError(f"{path}: {family.name}: no shape {family.shape!r}{suggestion(family.shape, shapes)}")
    return Catalog(families, shapes)


def _from_yaml(path: Path) -> dict[str, Family]:
    try:
        table: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as wrong:
        raise UserError(f"{path}: no YAML: {wrong}") from None
    if not isinstance(table, Mapping):
        raise UserError(f"{path}: expected family names with their fields")
    return {
        name: build(Family, {"about": name, **fields, "name": name}, name, lambda key: str(path))
        if isinstance(fields, Mapping)
        else build(Family, fields, name, lambda key: str(path))
        for name, fields in table.items()
    }


def _module(path: Path) -> ModuleType:
    """The file as a module. It is the user's own code, so whatever it raises is shown as it is."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except Exception as wrong:
        raise UserError(f"--families: {path}: {type(wrong).__name__}: {wrong}") from wrong
    return module
